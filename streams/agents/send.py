"""send: offers each queued email to the MTA once, and records before and after what it did.

The order is the guarantee (docs/decisions/0005): the ledger is asked, EmailAttempting is durable, the lease is fresh, only then
the MTA hears of the mail; its answer is durable before the record is acknowledged. A crash in between leaves an
attempt without an outcome: a doubt, resolved by evidence, policy or an operator, never by sending again unasked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gateway.bodies import BodyDamaged, BodyError, BodyMissing
from gateway.smtp_out import Envelope, Withheld
from streams import codec, topics
from streams.agents.message import Unwritable
from streams.begun import Begun
from streams.delay import delayed
from streams.domain.addresses import address_hash
from streams.domain.bounce_kind import bounce_of
from streams.domain.delivery import (
    AlreadyDone,
    Decision,
    Facts,
    GiveUp,
    Go,
    Retry,
    SetAside,
    Standing,
    Stop,
    Verdict,
    Wait,
    after_failure,
    before_attempt,
    judge,
)
from streams.domain.states import EmailState
from streams.events import (
    EmailAttempting,
    EmailBounced,
    EmailCancelled,
    EmailDeferred,
    EmailExpired,
    EmailFailed,
    EmailInDoubt,
    EmailQueued,
    EmailRequeued,
    EmailSent,
    EmailSuppressed,
)
from streams.membership import clock
from streams.outcomes import Dead, Done, Outcome, Source
from streams.paused import aside
from streams.publisher import Publisher, Record
from streams.room import Room, Taken, size_of
from streams.shell import WorldBroken
from streams.state.catch_up import Ledgers, LedgerUnusable
from streams.state.ledger import Ledger
from streams.state.limiter import Limiter
from streams.ways import Way

LEASE_S = 5.0  # an EmailAttempting acknowledged longer ago than this proves nothing about who owns the email now
PATIENCE_S = 10.0  # how long an email waits here, for a server or its slot, before it is put off; well under the shell's deadline
# Says nothing about the mail or the server, so it is not counted among the mail's attempts.
LEASE_LOST = Verdict("defer", "lease_lost", "this worker had lost touch; nothing was handed over", whole_server=True)
# Likewise, of a mail whose attempt was recorded already: without an outcome it would be a doubt.
HELD_BACK = Verdict("defer", "paused", "the request was paused; nothing was handed over", whole_server=True)
STOPPED = {EmailState.CANCELLED: EmailCancelled, EmailState.SUPPRESSED: EmailSuppressed, EmailState.EXPIRED: EmailExpired}


@dataclass(frozen=True, slots=True)
class Ports:
    """What the sender reaches the world through. `lease` says whether this worker's partitions are surely its own."""

    ledgers: Ledgers
    publisher: Publisher
    way: Callable[[EmailQueued], Way]
    control: Callable[[str | None], str]
    suppression: Callable[[str, str], str | None]
    lease: Callable[[], bool]
    limiter: Limiter
    begun: Begun
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Work:
    """One email in hand: its record, where that stands, the ledger of its partition, and the hash of its recipient's address."""

    email: EmailQueued
    source: Source
    ledger: Ledger
    address_hash: str


class Sender:
    """Handles EmailQueued for streams/shell.py. `owner` names this process in events; `backoff` scales the waits."""

    def __init__(self, ports: Ports, owner: str, backoff: float = 1.0) -> None:
        self._ports = ports
        self._owner = owner
        self._backoff = backoff
        self._in_work: set[str] = set()
        self._room = Room()

    async def __call__(self, event: Any, source: Source) -> Outcome:
        """Raises WorldBroken if the ledger cannot be trusted."""
        if not isinstance(event, EmailQueued):
            return Dead("unexpected_event", type(event).__name__)
        try:
            work = Work(event, source, await self._ports.ledgers.of(source.partition), address_hash(event.recipient))
        except LedgerUnusable as error:
            raise WorldBroken(str(error)) from error
        if event.email_id in self._in_work:
            return Done("in_work")  # the same email twice: the other record's end is awaited before this one is acknowledged
        self._in_work.add(event.email_id)
        try:
            return self._until_settled(await self._carry_out(self._decide(work), work), event.email_id)
        except BaseException:
            self._ports.begun.end(event.email_id)
            raise
        finally:
            self._in_work.discard(event.email_id)

    def _until_settled(self, outcome: Outcome, email_id: str) -> Outcome:
        """The email keeps its place among those begun until what became of it is durable."""
        if isinstance(outcome, Done):
            return replace(outcome, settled=partial(self._ports.begun.end, email_id))
        self._ports.begun.end(email_id)
        return outcome

    def _decide(self, work: Work) -> Decision:
        known = work.ledger.state(work.email.email_id)
        return before_attempt(work.email, Standing(*known) if known else None, self._facts_of(work))

    async def _carry_out(self, decision: Decision, work: Work) -> Outcome:
        match decision:
            case Go():
                return await self._attempt(decision, work)
            case Stop(outcome=EmailState.IN_DOUBT):
                return await self._doubt(decision.reason, decision.attempt, work)
            case Stop():
                stopped = STOPPED[decision.outcome]
                event = stopped(work.email.email_id, work.email.request_id, self._ports.now(), decision.attempt, decision.reason)
                return self._done(decision.reason, work, event)
            case SetAside():
                return Done("paused", [self._aside(work, decision.attempt)])
            case Wait():
                return Done(decision.reason, [self._again(work, decision.until, decision.attempt, work.email.max_attempts)])
            case AlreadyDone():
                return Done("already_done")

    async def _attempt(self, go: Go, work: Work) -> Outcome:
        """Wait for a server and for a slot of the rate."""
        refused = await self._ports.way(work.email).transport.available(PATIENCE_S)
        if refused is not None and not self._ports.lease():
            return self._handed_back(go, work)  # whoever has it now may be offering it as this very attempt
        if refused is not None:
            return await self._after(judge(refused.phase, refused.answer), go.attempt, work)
        wait_s = 0.0 if work.email.reserved else self._ports.limiter.wait_s(domain_of(work.email), work.email.request_id)
        if wait_s > PATIENCE_S:
            return Done("rate_limited", [self._at_its_slot(work, wait_s)])
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        room = await self._room.take(size_of(work.email))
        try:
            return await self._write(go, work, room)
        finally:
            room.leave()

    async def _write(self, go: Go, work: Work, room: Taken) -> Outcome:
        try:
            message, envelope = await self._ports.way(work.email).messages.of(work.email)
        except (Unwritable, BodyMissing, BodyDamaged) as error:
            event = EmailFailed(work.email.email_id, work.email.request_id, self._ports.now(), go.attempt, "unwritable", str(error)[:500])
            return self._done("unwritable", work, event)
        except BodyError as error:
            raise WorldBroken(f"the body store does not answer: {error}") from error
        return await self._offer(go, work, message, envelope, room)

    async def _offer(self, go: Go, work: Work, message: bytes, envelope: Envelope, room: Taken) -> Outcome:
        """The attempt is recorded when the mail's turn is near: one that still waits in line is nobody's doubt."""
        decision: Decision = go
        recorded, writing = 0.0, False

        async def may_offer() -> bool:
            nonlocal decision, recorded, writing
            writing = False
            # Much may have been said while it waited; but what its own attempt left in the ledger is no news.
            now = before_attempt(work.email, None, self._facts_of(work)) if recorded else self._decide(work)
            decision = now if not (recorded and isinstance(now, Go)) else decision
            if not (isinstance(decision, Go) and self._ports.lease()):
                return False
            if not holds():
                await self._ports.begun.begin(work.email.email_id)
                recorded = clock()  # from before the publish: an acknowledgement that took long is an old one
                await self._record_attempt(decision, work)
            return holds()

        def holds() -> bool:
            return self._ports.lease() and clock() - recorded < LEASE_S

        def may_finish() -> bool:
            """At the dot of a long mail, minutes later it may be, only the membership can tell."""
            nonlocal writing
            again, writing = writing, True
            return self._ports.lease() if again else holds()

        try:
            spoken, mta = await self._ports.way(work.email).transport.deliver(envelope, message, may_offer, may_finish)
        except Withheld:
            room.leave()
            if recorded and isinstance(decision, SetAside):
                return await self._after(HELD_BACK, go.attempt, work)
            if not isinstance(decision, Go):
                return await self._carry_out(decision, work)
            if not recorded:
                return self._handed_back(decision, work)
            return await self._after(LEASE_LOST, decision.attempt, work)
        room.leave()  # what follows may write the mail anew
        return await self._answered(judge(spoken.phase, spoken.answer), go.attempt, mta, len(message), work)

    def _handed_back(self, go: Go, work: Work) -> Outcome:
        """To whoever has the partition by then; nothing is said of the attempt, which is not this worker's."""
        return Done("handed_back", [self._again(work, self._ports.now(), go.attempt, work.email.max_attempts)])

    async def _answered(self, verdict: Verdict, attempt: int, mta: str, size: int, work: Work) -> Outcome:
        if verdict.kind != "sent":
            return await self._after(verdict, attempt, work)
        self._ports.limiter.accepted(domain_of(work.email))
        email = work.email
        sent = EmailSent(email.email_id, email.request_id, self._ports.now(), attempt, email.message_id, mta, verdict.reply, size)
        return self._done("sent", work, sent)

    async def _record_attempt(self, go: Go, work: Work) -> None:
        """Durable when it returns, and known to the ledger before anybody can ask again."""
        email, now = work.email, self._ports.now()
        events: list[Any] = [
            EmailAttempting(
                email_id=email.email_id,
                request_id=email.request_id,
                at=now,
                attempt=go.attempt,
                owner=self._owner,
                address_hash=work.address_hash,
                lane=work.source.topic,
                partition=work.source.partition,
                offset=work.source.offset,
            )
        ]
        if go.after_doubt:
            events.insert(0, EmailRequeued(email.email_id, email.request_id, now, go.attempt, "policy", email.on_doubt))
        for event in events:
            work.ledger.note(event)
        await self._ports.publisher.publish([self._delivery(work, event) for event in events])

    async def _after(self, verdict: Verdict, attempt: int, work: Work) -> Outcome:
        email, now = work.email, self._ports.now()
        if verdict.slow_domain:
            self._ports.limiter.complained(domain_of(email))
        following = after_failure(attempt, email.max_attempts, verdict, email.expires_at, now, email.email_id)
        match following:
            case Retry():
                at = now + (following.at - now) * self._backoff
                event = EmailDeferred(email.email_id, email.request_id, now, attempt, verdict.reason, verdict.reply, at)
                done = self._done(verdict.reason, work, event)
                return Done(done.reason, [*done.records, self._again(work, at, attempt + 1, following.max_attempts)])
            case GiveUp(outcome=EmailState.IN_DOUBT):
                return await self._doubt(following.reason, attempt, work)
            case GiveUp(outcome=EmailState.EXPIRED):
                return self._done(
                    "expired", work, EmailExpired(email.email_id, email.request_id, now, attempt, following.reason, verdict.reply)
                )
            case GiveUp():
                return self._failed(verdict, following.reason, attempt, work)

    def _failed(self, verdict: Verdict, reason: str, attempt: int, work: Work) -> Outcome:
        email, now = work.email, self._ports.now()
        done = self._done(reason, work, EmailFailed(email.email_id, email.request_id, now, attempt, reason, verdict.reply))
        kind = bounce_of(verdict)
        if kind is None:
            return done
        hashed = work.address_hash
        bounce = EmailBounced(f"{email.email_id}/{attempt}", now, email.email_id, hashed, kind, verdict.reason, verdict.reply, "smtp")
        return Done(done.reason, [*done.records, Record.of(topics.FEEDBACK, hashed, bounce, work.source.trace)])

    async def _doubt(self, reason: str, attempt: int, work: Work) -> Outcome:
        """Record the doubt, then let the request's policy speak: resend, or hold for an operator."""
        email = work.email
        event = EmailInDoubt(
            email_id=email.email_id,
            request_id=email.request_id,
            at=self._ports.now(),
            attempt=attempt,
            reason=reason,
            message_id=email.message_id,
            lane=work.source.topic,
            partition=work.source.partition,
            offset=work.source.offset,
        )
        work.ledger.note(event)
        await self._ports.publisher.publish([self._delivery(work, event)])
        decision = before_attempt(email, Standing(EmailState.IN_DOUBT, attempt), self._facts_of(work))
        return await self._carry_out(decision, work) if not isinstance(decision, AlreadyDone) else Done("in_doubt")

    def _facts_of(self, work: Work) -> Facts:
        suppression = self._ports.suppression(work.address_hash, work.email.purpose)
        return Facts(self._ports.control(work.email.request_id), suppression, self._owner, self._ports.now())

    def _done(self, reason: str, work: Work, event: Any) -> Done:
        work.ledger.note(event)
        return Done(reason, [self._delivery(work, event)])

    def _delivery(self, work: Work, event: Any) -> Record:
        """For the ledger of the partition that the email stands on, whoever put it there by whatever partitioner."""
        return Record(topics.DELIVERIES, work.email.email_id.encode(), codec.encode(event), work.source.trace, work.source.partition)

    def _again(self, work: Work, at: datetime, attempt: int, max_attempts: int) -> Record:
        email = replace(work.email, attempt=attempt, max_attempts=max_attempts, reserved=False)
        record = Record.of(work.source.topic, email.email_id, email, work.source.trace)
        return delayed(record, at, self._ports.now())

    def _aside(self, work: Work, attempt: int) -> Record:
        email = replace(work.email, attempt=attempt, reserved=False)
        record = Record.of(work.source.topic, email.email_id, email, work.source.trace)
        return aside(record, email.request_id or "", email.expires_at, self._ports.now(), work.source)

    def _at_its_slot(self, work: Work, wait_s: float) -> Record:
        now = self._ports.now()
        record = Record.of(work.source.topic, work.email.email_id, replace(work.email, reserved=True), work.source.trace)
        return delayed(record, now + timedelta(seconds=wait_s), now)


def domain_of(email: EmailQueued) -> str:
    """The recipient's domain, as rates count it."""
    return email.recipient.rpartition("@")[2].lower()
