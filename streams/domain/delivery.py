"""Delivery policy for one email: may it be offered, what did the answer mean, what comes next. Pure.

    before_attempt(email, standing, Facts(control, suppression, owner, now)) -> Go | Stop | Wait | SetAside | AlreadyDone
    judge(phase, Reply(code, text) | Fault(kind, detail)) -> Verdict
    after_failure(attempt, max_attempts, verdict, expires_at, now, email_id) -> Retry | GiveUp
    retry_at(attempt, email_id, now) -> datetime

Before the final dot nothing was handed over, so a failure may be retried; at the dot only a clear yes or no counts, all
else is doubt (reliability.md, section 4). The reply table is delivery_rules.py, statuses are states.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from streams.domain.delivery_rules import RULES
from streams.domain.states import TERMINAL, EmailState
from streams.domain.verdicts import SERVER_PHASES, Fault, Phase, Reply, Verdict, one_line
from streams.events import EmailQueued

# Behind attempt 1, 2, 3 ...; the last step repeats. The first ones outlast greylisting, the later ones an outage.
STEPS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
)
JITTER = 0.2  # of the step, either way: mails that failed together do not come back together


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger holds of an email id. `retry_at` belongs to a deferral, `owner` to an attempt."""

    status: EmailState
    attempt: int
    owner: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The world at the moment of asking.

    `control` is the request's: running, approved, paused or cancelled (running where there is no request);
    `suppression` is why the address gets no mail of this purpose, none if it does; `owner` is this worker.
    """

    control: str
    suppression: str | None
    owner: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Go:
    """Offer it now, as this attempt. `after_doubt`: record EmailRequeued(attempt) first."""

    attempt: int
    after_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Record this outcome and no more: EmailCancelled, EmailSuppressed, EmailExpired, or EmailInDoubt of `attempt`."""

    outcome: EmailState
    reason: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Put it on the delay wheel until then, as this attempt; repeating that is harmless."""

    until: datetime
    reason: str
    attempt: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """Its request is paused: put it where it costs nothing until that goes on or ends, as this attempt; repeating that is harmless."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """Nothing to do: it ended, another record of it carries on, or its doubt waits for an operator."""

    status: EmailState


@dataclass(frozen=True, slots=True)
class Retry:
    """EmailDeferred until `at`; the next EmailQueued carries `max_attempts`."""

    at: datetime
    max_attempts: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """EmailFailed, EmailExpired or EmailInDoubt with this reason."""

    outcome: EmailState
    reason: str


Decision = Go | Stop | Wait | SetAside | AlreadyDone


def before_attempt(email: EmailQueued, standing: Standing | None, facts: Facts) -> Decision:
    """Whether the record `email` may be offered now. Asked again behind a Stop(in_doubt), it applies the doubt policy."""
    if standing is None:
        return _checked(email, email.attempt, facts)
    if standing.status in TERMINAL:
        return AlreadyDone(standing.status)
    return BY_STATUS[standing.status](email, standing, facts)


def _queued(email: EmailQueued, standing: Standing, facts: Facts) -> Decision:
    return _checked(email, max(email.attempt, standing.attempt), facts)


def _attempting(email: EmailQueued, standing: Standing, facts: Facts) -> Decision:
    if email.attempt > standing.attempt:
        return _checked(email, email.attempt, facts)  # only who knew how that attempt ended could queue the next one
    if standing.owner == facts.owner or email.attempt < standing.attempt:
        return AlreadyDone(standing.status)  # in flight here as another record, or an older record of a mail that went on
    return Stop(EmailState.IN_DOUBT, "owner_lost", standing.attempt)


def _in_doubt(email: EmailQueued, standing: Standing, facts: Facts) -> Decision:
    if email.attempt > standing.attempt:
        return _checked(email, email.attempt, facts)  # the doubt was settled: by its lost owner, or by an operator
    # Once more at least where the policy says so; not for ever, should the mail itself be what kills its owners.
    if email.on_doubt != "resend" or email.attempt < standing.attempt or standing.attempt >= max(2, email.max_attempts):
        return AlreadyDone(standing.status)
    checked = _checked(email, standing.attempt + 1, facts)
    if isinstance(checked, Go):
        return Go(checked.attempt, after_doubt=True)
    # It may have been delivered: expiry or a cancellation cannot claim that it was not.
    return checked if isinstance(checked, SetAside) else AlreadyDone(standing.status)


def _deferred(email: EmailQueued, standing: Standing, facts: Facts) -> Decision:
    if email.attempt > standing.attempt:
        return _checked(email, email.attempt, facts)
    if email.attempt < standing.attempt:
        return AlreadyDone(standing.status)
    # Its owner may have died between recording the deferral and putting the retry on the wheel.
    until = standing.retry_at or retry_at(standing.attempt, email.email_id, facts.now)
    return Wait(until, "deferred", standing.attempt + 1)


BY_STATUS = {
    EmailState.QUEUED: _queued,  # requeued after a doubt, by policy or by an operator
    EmailState.ATTEMPTING: _attempting,
    EmailState.IN_DOUBT: _in_doubt,
    EmailState.DEFERRED: _deferred,
}


def _checked(email: EmailQueued, attempt: int, facts: Facts) -> Go | Stop | SetAside:
    """The checks before any offer, the most final first."""
    if facts.control == "cancelled":
        return Stop(EmailState.CANCELLED, "request_cancelled", attempt - 1)
    if facts.suppression:
        return Stop(EmailState.SUPPRESSED, facts.suppression, attempt - 1)
    if facts.now > email.expires_at:
        return Stop(EmailState.EXPIRED, "expired", attempt - 1)
    if facts.control == "paused":
        return SetAside(attempt)
    return Go(attempt)


def judge(phase: Phase, answer: Reply | Fault) -> Verdict:
    """What `answer`, the last of a conversation about one recipient, means. Total: never raises."""
    if isinstance(answer, Fault):
        return _judge_fault(phase, answer)
    if phase is Phase.DOT and 200 <= answer.code <= 299:
        return Verdict("sent", "accepted", str(answer))
    code, enhanced = str(answer.code).zfill(3), answer.enhanced
    for rule in RULES:
        if rule.fits(phase, code, enhanced, answer.text):
            return Verdict(rule.kind, rule.reason, str(answer), rule.slow_domain, rule.hard_bounce, rule.whole_server)
    if phase is Phase.DOT:
        return Verdict("doubt", "unknown_reply_after_dot", str(answer))
    return Verdict("defer", "unexpected_reply", str(answer), whole_server=phase in SERVER_PHASES)


def _judge_fault(phase: Phase, fault: Fault) -> Verdict:
    words = one_line(f"{fault.kind} at {phase}: {fault.detail}" if fault.detail else f"{fault.kind} at {phase}")
    if phase is Phase.DOT:
        return Verdict("doubt", f"{fault.kind}_after_dot", words)
    return Verdict("defer", fault.kind, words, whole_server=phase in SERVER_PHASES)


def after_failure(attempt: int, max_attempts: int, verdict: Verdict, expires_at: datetime, now: datetime, email_id: str) -> Retry | GiveUp:
    """What follows a verdict that is not `sent`. No retry is set beyond `expires_at`.

    `attempt` is the one that failed. One that only met a resting or misconfigured server is not counted: an outage is
    waited for until the mail expires (spec 4.7 counts refusals of the mail).
    """
    if verdict.kind == "doubt":
        return GiveUp(EmailState.IN_DOUBT, verdict.reason)
    if verdict.kind == "fail":
        return GiveUp(EmailState.FAILED, verdict.reason)
    allowed = max_attempts + 1 if verdict.whole_server else max_attempts
    if attempt >= allowed:
        return GiveUp(EmailState.FAILED, "attempts_exhausted")
    at = retry_at(attempt, email_id, now)
    return GiveUp(EmailState.EXPIRED, "expired") if at > expires_at else Retry(at, allowed)


def retry_at(attempt: int, email_id: str, now: datetime) -> datetime:
    """When the attempt after `attempt` (from 1) is due: its step with a jitter that is the same on every replay."""
    step = STEPS[min(max(attempt, 1), len(STEPS)) - 1]
    digest = hashlib.blake2b(f"{email_id}\0{attempt}".encode(), digest_size=4).digest()
    return now + step * (1 - JITTER + 2 * JITTER * int.from_bytes(digest) / 0xFFFFFFFF)


__all__ = [
    "AlreadyDone",
    "Facts",
    "Fault",
    "GiveUp",
    "Go",
    "Phase",
    "Reply",
    "Retry",
    "SetAside",
    "Standing",
    "Stop",
    "Verdict",
    "Wait",
    "after_failure",
    "before_attempt",
    "judge",
    "retry_at",
]
