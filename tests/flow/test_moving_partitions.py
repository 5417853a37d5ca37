"""Workers come, go and die while records flow: every partition goes on with whoever has it, and nothing is left out (rows F-08 to F-10)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams import codec, topics
from streams.events import InboundApproved, InboundDropped
from streams.settings import Settings
from tests.services.agents import Agent
from tests.services.mails import committed, events, write
from tests.services.odd import NAME, NOW
from tests.services.until import until

pytestmark = pytest.mark.broker
PARTITIONS = 4


@dataclass(frozen=True)
class Lane:
    """A topic of the test's own with several partitions, and its workers (tests/services/odd_agent.py)."""

    settings: Settings
    topic: str
    folder: Path

    def put(self, number: int) -> set[str]:
        """So many records, all over the partitions; returns their ids."""
        said = [InboundApproved(uuid.uuid4().hex, NOW, "test", "note") for _ in range(number)]
        write(self.settings, self.topic, [(event.inbound_id.encode(), codec.encode(event)) for event in said])
        return {event.inbound_id for event in said}

    def worker(self, name: str) -> Agent:
        settings = replace(self.settings, var=self.folder / name)
        return Agent(settings, NAME, "tests.services.odd_agent", (self.topic, str(self.folder))).run().ready()

    @property
    def echoed(self) -> dict[str, str]:
        """The ids of records that were handled, and the last process that did."""
        found = [event for event in events(self.settings, topics.ROUTINGS) if isinstance(event, InboundDropped)]
        return {event.inbound_id: event.rules_hash for event in found if event.reason.startswith(self.topic)}

    @property
    def behind(self) -> int:
        """How many offsets of all partitions are acknowledged."""
        return sum(committed(self.settings, f"{self.settings.app}.{NAME}", self.topic).values())


@pytest.fixture
def lane(kafka: Settings, tmp_path: Path) -> Iterator[Lane]:
    topic = f"odd-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    until(lambda: topic in client.list_topics().topics, "the topic is there")
    yield Lane(replace(kafka, app=f"test-{uuid.uuid4().hex[:8]}", session_timeout=2.0), topic, tmp_path)
    client.delete_topics([topic])[topic].result()


def test_nothing_is_left_out_while_partitions_move(lane: Lane) -> None:
    """One works, a second joins in the middle, the first is told to stop, the second is killed, a third ends it all."""
    put = lane.put(2000)
    workers = [lane.worker("first")]
    try:
        until(lambda: lane.behind > 0, "the first is at work")
        put |= lane.put(2000)
        workers.append(lane.worker("second"))
        until(lambda: joined(lane, put, workers[1]), "the second has partitions")
        put |= lane.put(2000)
        assert workers[0].stop()[0] == 0
        put |= lane.put(2000)
        workers[1].kill()
        workers.append(lane.worker("third"))
        until(lambda: lane.behind == len(put), "all is acknowledged")
        assert workers[2].stop()[0] == 0
    finally:
        for worker in workers:
            worker.kill()
    assert lane.echoed.keys() == put


def joined(lane: Lane, put: set[str], worker: Agent) -> bool:
    """True when the worker has handled something; what there was may have been done before it came, so there is always more."""
    put |= lane.put(100)
    return str(worker.pid) in lane.echoed.values()
