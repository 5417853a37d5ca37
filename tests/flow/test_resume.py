"""resume alone: what was set aside comes back when it may, whatever is killed, and nothing else does."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streams import codec, topics
from streams.events import EmailQueued, RequestControl
from streams.outcomes import Source
from streams.paused import aside
from streams.publisher import Record
from streams.settings import Settings
from tests.services.agents import running
from tests.services.mails import Follower, committed, email, write
from tests.services.records import read
from tests.services.until import until

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(kafka: Settings, tmp_path: Path) -> Settings:
    return replace(kafka, app=f"test-{uuid.uuid4().hex[:8]}", var=tmp_path, session_timeout=6.0)


@pytest.fixture
def lane(kafka: Settings) -> Iterator[Follower]:
    follower = Follower(kafka, topics.EMAILS_BULK)
    yield follower
    follower.close()


def set_aside(settings: Settings, request_id: str, number: int, lasts: timedelta = timedelta(days=1)) -> set[str]:
    """So many mails of a paused request, beside each other on one partition; returns their ids."""
    emails, now = [email(request_id=request_id) for _ in range(number)], datetime.now(UTC)
    records = [Record.of(topics.EMAILS_BULK, one.email_id, one) for one in emails]
    there = [aside(record, request_id, now + lasts, now, Source(topics.EMAILS_BULK, 0, 0, None, "")) for record in records]
    write(settings, topics.PAUSED, [(record.key, record.value) for record in there])
    return {one.email_id for one in emails}


def say(settings: Settings, request_id: str, state: str) -> None:
    control = RequestControl(request_id, datetime.now(UTC), state, "ada", "hash", [])
    write(settings, topics.REQUEST_CONTROLS, [(request_id.encode(), codec.encode(control))])


def came_back(lane: Follower, request_id: str) -> Counter[str]:
    heard = [event for event in lane.heard() if isinstance(event, EmailQueued) and event.request_id == request_id]
    return Counter(event.email_id for event in heard)


def all_committed(settings: Settings) -> bool:
    """True when a start would read nothing again."""
    records = read(settings.bootstrap, topics.PAUSED)
    ends = {number: 1 + max(message.offset() or 0 for message in records if message.partition() == number) for number in places(records)}
    done = committed(settings, f"{settings.app}.resume", topics.PAUSED)
    return all(done[number] == end for number, end in ends.items())


def places(records: list[Any]) -> set[int]:
    return {message.partition() for message in records}


@pytest.mark.parametrize("point", ["before:EmailQueued", "half:EmailQueued", "after:EmailQueued"])
def test_killed_while_it_brings_back_it_begins_again(settings: Settings, lane: Follower, point: str) -> None:
    request_id = f"killed-{uuid.uuid4()}"
    say(settings, request_id, "paused")
    ids = set_aside(settings, request_id, 40)
    say(settings, request_id, "running")
    with running(settings, "delay", "tests.services.crashing_agent", point) as agent:
        assert agent.end() == -9
    with running(settings, "delay"):
        until(lambda: set(came_back(lane, request_id)) == ids, "all are back")
        until(partial(all_committed, settings), "it is done with them")
    assert set(came_back(lane, request_id).values()) <= {1, 2}


def test_only_the_request_that_goes_on_comes_back_and_a_start_reads_no_other_again(settings: Settings, lane: Follower) -> None:
    going, staying = f"going-{uuid.uuid4()}", f"staying-{uuid.uuid4()}"
    for request_id in (going, staying):
        say(settings, request_id, "paused")
    before, ids, behind = (set_aside(settings, name, 10) for name in (staying, going, staying))
    with running(settings, "delay") as agent:
        say(settings, going, "running")
        until(lambda: set(came_back(lane, going)) == ids, "they are back")
        assert agent.stop()[0] == 0
    with running(settings, "delay"):
        say(settings, staying, "cancelled")
        until(lambda: set(came_back(lane, staying)) == before | behind, "the others follow")
        until(partial(all_committed, settings), "it is done with them")
    assert set(came_back(lane, staying).values()) == {1}


def test_what_expires_comes_back_to_be_recorded_as_that(settings: Settings, lane: Follower) -> None:
    request_id = f"over-{uuid.uuid4()}"
    say(settings, request_id, "paused")
    ids = set_aside(settings, request_id, 3, lasts=timedelta(seconds=-1))
    with running(settings, "delay"):
        assert until(lambda: set(came_back(lane, request_id)) == ids, "they are back")
