"""What the sender says and does when it has lost touch with its group, by every way that the wait for its turn can end (row F-13)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.smtp_out import Envelope, Spoken, Withheld
from streams import codec, topics
from streams.agents import send
from streams.agents.send import Ports, Sender
from streams.begun import Begun
from streams.domain.verdicts import Fault, Phase, Reply
from streams.events import Delayed, EmailAttempting, EmailDeferred, EmailQueued
from streams.outcomes import Done, Source
from streams.publisher import Record
from streams.state.ledger import Ledger
from streams.state.limiter import Limiter
from tests.services.mails import email

TAKEN = Spoken(Phase.DOT, Reply(250, "2.0.0 taken"))
SOURCE = Source(topics.EMAILS_BULK, 0, 7, None, "")


@dataclass
class World:
    """Everything that the sender reaches; the group may forget it at any moment."""

    ledger: Ledger
    member: bool = True
    refused: Spoken | None = None
    asked_at_the_dot: Callable[[], None] = lambda: None
    published: list[Any] = field(default_factory=list)

    async def of(self, _partition: int) -> Ledger:
        return self.ledger

    async def publish(self, records: Sequence[Record]) -> None:
        self.published += [codec.decode(record.value) for record in records]

    async def available(self, _patience_s: float) -> Spoken | None:
        return self.refused

    async def deliver(
        self, _envelope: Envelope, _message: bytes, may_offer: Callable[[], Awaitable[bool]], may_finish: Callable[[], bool]
    ) -> tuple[Spoken, str]:
        """Of a long mail: asked before it is written, and before its dot."""
        if not (await may_offer() and may_finish()):
            raise Withheld
        self.asked_at_the_dot()
        if not may_finish():
            raise Withheld
        return TAKEN, "mta"

    @property
    def transport(self) -> World:
        return self

    @property
    def messages(self) -> MessageOf:
        return MessageOf()

    def sender(self) -> Sender:
        ports = Ports(
            ledgers=cast("Any", self),
            publisher=self,
            way=lambda _: cast("Any", self),
            control=lambda _: "running",
            suppression=lambda _hashed, _purpose: None,
            lease=lambda: self.member,
            limiter=Limiter(0, 0, time.monotonic),
            begun=Begun(2),
            now=lambda: datetime.now(UTC),
        )
        return Sender(ports, "me")


class MessageOf:
    async def of(self, _email: EmailQueued) -> tuple[bytes, Envelope]:
        return b"Hello.\r\n", Envelope("", "ann@x.org")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(Ledger(tmp_path / "0.sqlite"))


async def said(world: World, mail: EmailQueued) -> tuple[str, list[Any]]:
    """The outcome's reason, and the events that come of it, those for the delay wheel unwrapped."""
    outcome = await world.sender()(mail, SOURCE)
    assert isinstance(outcome, Done)
    events = [codec.decode(record.value) for record in outcome.records]
    return outcome.reason, [codec.decode(event.value) if isinstance(event, Delayed) else event for event in events]


async def test_who_has_lost_touch_says_nothing_of_an_attempt_that_another_may_be_making(world: World) -> None:
    """Its deferral would outrank the other's doubt, and the mail would go out again."""
    world.refused, world.member = Spoken(Phase.CONNECT, Fault("refused")), False
    mail = email()
    reason, events = await said(world, mail)
    assert reason == "handed_back"
    assert [(type(event), event.attempt) for event in events] == [(EmailQueued, 1)]
    assert world.ledger.state(mail.email_id) is None


async def test_a_server_that_rests_defers(world: World) -> None:
    world.refused = Spoken(Phase.CONNECT, Fault("refused"))
    reason, events = await said(world, email())
    assert reason == "refused"
    assert [(type(event), event.attempt) for event in events] == [(EmailDeferred, 1), (EmailQueued, 2)]


async def test_a_long_mail_gets_no_dot_from_a_worker_that_has_lost_touch(world: World) -> None:
    world.asked_at_the_dot = lambda: setattr(world, "member", False)
    reason, events = await said(world, email())
    assert reason == "lease_lost"
    assert [type(event) for event in world.published] == [EmailAttempting]
    assert [(type(event), event.attempt) for event in events] == [(EmailDeferred, 1), (EmailQueued, 2)]


async def test_a_long_mail_may_take_its_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The age of the attempt's record matters before the message is written, not behind it."""
    world.asked_at_the_dot = lambda: monkeypatch.setattr(send, "LEASE_S", 0.0)
    reason, _ = await said(world, email())
    assert reason == "sent"
