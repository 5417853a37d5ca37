"""A topic with one partition and a real agent that reads it (odd_agent.py), for tests of what every agent runs in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from streams import codec, topics
from streams.events import InboundApproved, InboundDropped
from streams.settings import Settings
from tests.services.agents import Agent, running
from tests.services.mails import committed, dead_letters, events, write
from tests.services.until import until

NAME = "odd"
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Odd:
    """A topic of the test's own with one partition, and who reads it (tests/services/odd_agent.py)."""

    settings: Settings
    topic: str
    folder: Path

    def put(self, *notes: str) -> list[str]:
        """Records with these notes; returns their ids."""
        said = [InboundApproved(uuid.uuid4().hex, NOW, "test", note) for note in notes]
        self.put_bytes(*(codec.encode(event) for event in said))
        return [event.inbound_id for event in said]

    def put_bytes(self, *values: bytes | None, headers: dict[str, bytes] | None = None) -> None:
        write(self.settings, self.topic, [(b"key", value) for value in values], headers)

    @property
    def echoed(self) -> list[InboundDropped]:
        """What the handler made of this topic's records."""
        found = events(self.settings, topics.ROUTINGS)
        return [event for event in found if isinstance(event, InboundDropped) and event.reason.startswith(self.topic)]

    @property
    def committed(self) -> int:
        return committed(self.settings, f"{self.settings.app}.{NAME}", self.topic)[0]

    @property
    def members(self) -> set[str]:
        """The ids of those that the consumer group counts as its members."""
        group = f"{self.settings.app}.{NAME}"
        client = AdminClient({"bootstrap.servers": self.settings.bootstrap})  # it must live until it has answered
        return {member.member_id for member in client.describe_consumer_groups([group])[group].result().members}

    @property
    def parked(self) -> list[str]:
        """The reasons of this topic's dead letters."""
        return [event.reason for event in dead_letters(self.settings, self.topic)]

    def running(self) -> AbstractContextManager[Agent]:
        return running(self.settings, NAME, "tests.services.odd_agent", self.topic, str(self.folder))

    def unlucky(self) -> Agent:
        """A process of tests/services/unlucky_agent.py, not started yet."""
        return Agent(self.settings, NAME, "tests.services.unlucky_agent", (self.topic, str(self.folder)))

    def release(self, gate: str) -> None:
        (self.folder / gate).touch()

    def wait_for(self, inbound_id: str) -> None:
        """Returns when the handler waits with this record in hand."""
        waits = self.folder / f"{inbound_id}.waits"
        until(waits.exists, "the handler holds the record")
        waits.unlink()


def odd_on(kafka: Settings, folder: Path) -> Iterator[Odd]:
    topic = f"odd-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    until(lambda: topic in client.list_topics().topics, "the topic is there")
    yield Odd(replace(kafka, app=f"test-{uuid.uuid4().hex[:8]}", var=folder, session_timeout=2.0), topic, folder)
    client.delete_topics([topic])[topic].result()
