"""expand, killed between any two steps: row F-08 of the fault table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from streams import codec, topics
from streams.domain.outgoing.request import parse_request
from streams.events import EmailQueued, RequestExpanded
from streams.settings import Settings
from tests.services.agents import Agent, running
from tests.services.mails import Follower, write
from tests.services.outgoing import document
from tests.services.until import until

pytestmark = pytest.mark.broker
EXPANDER = "expand.bulk"
PEOPLE = 20
POINTS = ("before:EmailQueued", "half:EmailQueued", "after:EmailQueued", "before:RequestExpanded", "after:RequestExpanded")


@pytest.fixture
def lane(kafka: Settings) -> Iterator[Follower]:
    follower = Follower(kafka, topics.EMAILS_BULK)
    yield follower
    follower.close()


@pytest.fixture
def expansions(kafka: Settings) -> Iterator[Follower]:
    follower = Follower(kafka, topics.EXPANSIONS)
    yield follower
    follower.close()


def test_each_recipient_is_queued_under_one_id(kafka: Settings, tmp_path: Path, lane: Follower, expansions: Follower) -> None:
    """Killed five times over one request, and left in peace at last: every recipient, the same ids, one account of it all."""
    settings = replace(kafka, app=f"test-{uuid.uuid4().hex[:8]}", var=tmp_path, session_timeout=2.0)
    people = [{"user_id": f"p{n}", "username": f"p{n}", "email": f"p{n}@many.example"} for n in range(PEOPLE)]
    request_id = f"killed-{uuid.uuid4()}"
    request = parse_request(document(*people, request_id=request_id, created_at=None, priority="bulk"), datetime.now(UTC)).request
    write(settings, topics.MESSAGE_REQUESTS_BULK, [(request_id.encode(), codec.encode(request))])
    for point in POINTS:
        with running(settings, EXPANDER, "tests.services.crashing_agent", point) as agent:
            until(partial(ended_or_done, agent, expansions, request_id), f"{point} is reached, or all is done")
    with running(settings, EXPANDER):
        until(lambda: expanded(expansions, request_id), "the request is expanded")
    queued = [event for event in lane.heard() if isinstance(event, EmailQueued) and event.request_id == request_id]
    assert {event.recipient for event in queued} == {person["email"] for person in people}
    assert len({event.email_id for event in queued}) == PEOPLE
    assert {event.queued for event in expanded(expansions, request_id)} == {PEOPLE}


def ended_or_done(agent: Agent, expansions: Follower, request_id: str) -> bool:
    return agent.ended is not None or bool(expanded(expansions, request_id))


def expanded(expansions: Follower, request_id: str) -> list[RequestExpanded]:
    return [event for event in expansions.heard() if isinstance(event, RequestExpanded) and event.request_id == request_id]
