"""A worker that its consumer group has lost comes back within seconds, or ends so that another is started (decision 0003)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.services.agents import Agent
from tests.services.odd import Odd, odd_on
from tests.services.until import until

pytestmark = pytest.mark.broker
TIMED_OUT, SERVER_ERROR, UNKNOWN_MEMBER = 7, -1, 25


@pytest.fixture
def odd(kafka: Settings, tmp_path: Path) -> Iterator[Odd]:
    yield from odd_on(kafka, tmp_path)


@pytest.fixture
def agent(odd: Odd) -> Iterator[Agent]:
    agent = odd.unlucky()
    yield agent
    agent.kill()


def fault(odd: Odd, request: str, code: int) -> Path:
    path = odd.folder / "fault"
    path.write_text(f"{request} {code}", encoding="ascii")
    return path


def works(odd: Odd, agent: Agent) -> None:
    put = set(odd.put("one", "two"))
    until(lambda: put <= {event.inbound_id for event in odd.echoed}, "both are echoed")
    assert agent.ended is None


def test_an_answer_that_aiokafka_does_not_expect_ends_the_process(odd: Odd, agent: Agent) -> None:
    """It would wait for ever for somebody to be told of it, and send no heartbeat meanwhile."""
    agent.run()
    works(odd, agent)
    said = fault(odd, "HeartbeatRequest", TIMED_OUT)
    assert agent.end() == 70
    said.unlink()
    agent.run()
    works(odd, agent)


def test_so_does_one_to_its_joining(odd: Odd, agent: Agent) -> None:
    said = fault(odd, "JoinGroupRequest", SERVER_ERROR)
    assert agent.run().end() == 70
    said.unlink()
    agent.run()
    works(odd, agent)


def test_a_member_that_was_forgotten_joins_again(odd: Odd, agent: Agent) -> None:
    """The same process, which has nothing in work, goes on."""
    agent.run()
    works(odd, agent)
    before = odd.members
    said = fault(odd, "HeartbeatRequest", UNKNOWN_MEMBER)
    assert until(lambda: odd.members and odd.members.isdisjoint(before), "it is another member")
    said.unlink()
    works(odd, agent)


def test_one_that_faust_keeps_from_joining_ends_when_nothing_is_in_work(odd: Odd, agent: Agent) -> None:
    """Faust waits, without end, for a record that nobody will acknowledge."""
    agent.run()
    works(odd, agent)
    (odd.folder / "keep").touch()
    (waits,) = odd.put("wait:gate")
    odd.wait_for(waits)
    fault(odd, "HeartbeatRequest", UNKNOWN_MEMBER)
    until(lambda: not odd.members, "the group has forgotten it")
    assert agent.ended is None
    odd.release("gate")
    assert agent.end() == 70
