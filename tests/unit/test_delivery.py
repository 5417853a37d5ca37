"""Whether an email may be offered, and what follows a failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from streams.domain.delivery import (
    AlreadyDone,
    Facts,
    Fault,
    GiveUp,
    Go,
    Phase,
    Reply,
    Retry,
    SetAside,
    Standing,
    Stop,
    Wait,
    after_failure,
    before_attempt,
    judge,
    retry_at,
)
from streams.domain.states import TERMINAL, EmailState
from streams.events import EmailQueued
from tests.services.example import MAIL, NOW

LATER = NOW + timedelta(minutes=3)
RESEND = replace(MAIL, on_doubt="resend")
FACTS = Facts(control="running", suppression=None, owner="me", now=NOW)
BUSY = judge(Phase.RCPT, Reply(451, "later"))
AWAY = judge(Phase.CONNECT, Fault("refused"))


# what the ledger holds, the record, the facts -> the decision
BEFORE = (
    ("a new email", None, MAIL, FACTS, Go(1)),
    ("approved is running", None, MAIL, replace(FACTS, control="approved"), Go(1)),
    (
        "a retry that outran the word of its deferral",
        Standing(EmailState.ATTEMPTING, 1, owner="gone"),
        replace(MAIL, attempt=2),
        FACTS,
        Go(2),
    ),
    ("a settled doubt", Standing(EmailState.IN_DOUBT, 1), replace(MAIL, attempt=2), FACTS, Go(2)),
    ("its retry", Standing(EmailState.DEFERRED, 1, retry_at=LATER), replace(MAIL, attempt=2), FACTS, Go(2)),
    ("cancelled", None, MAIL, replace(FACTS, control="cancelled"), Stop(EmailState.CANCELLED, "request_cancelled", 0)),
    ("suppressed", None, MAIL, replace(FACTS, suppression="complaint"), Stop(EmailState.SUPPRESSED, "complaint", 0)),
    ("the last moment", None, MAIL, replace(FACTS, now=MAIL.expires_at), Go(1)),
    (
        "expired",
        Standing(EmailState.DEFERRED, 2),
        replace(MAIL, attempt=3),
        replace(FACTS, now=MAIL.expires_at + timedelta(seconds=1)),
        Stop(EmailState.EXPIRED, "expired", 2),
    ),
    ("paused", None, MAIL, replace(FACTS, control="paused"), SetAside(1)),
    ("deferred, retry maybe never queued", Standing(EmailState.DEFERRED, 1, retry_at=LATER), MAIL, FACTS, Wait(LATER, "deferred", 2)),
    ("deferred, by a ledger without times", Standing(EmailState.DEFERRED, 1), MAIL, FACTS, Wait(retry_at(1, "e1", NOW), "deferred", 2)),
    (
        "an older record of a deferred mail",
        Standing(EmailState.DEFERRED, 2, retry_at=LATER),
        MAIL,
        FACTS,
        AlreadyDone(EmailState.DEFERRED),
    ),
    ("in flight here", Standing(EmailState.ATTEMPTING, 1, owner="me"), MAIL, FACTS, AlreadyDone(EmailState.ATTEMPTING)),
    ("its owner is gone", Standing(EmailState.ATTEMPTING, 1, owner="dead"), MAIL, FACTS, Stop(EmailState.IN_DOUBT, "owner_lost", 1)),
    ("an older record", Standing(EmailState.ATTEMPTING, 2, owner="dead"), MAIL, FACTS, AlreadyDone(EmailState.ATTEMPTING)),
    ("doubt, held", Standing(EmailState.IN_DOUBT, 1), MAIL, FACTS, AlreadyDone(EmailState.IN_DOUBT)),
    ("doubt, resent", Standing(EmailState.IN_DOUBT, 1), RESEND, FACTS, Go(2, after_doubt=True)),
    ("doubt, no third time", Standing(EmailState.IN_DOUBT, 3), replace(RESEND, attempt=3), FACTS, AlreadyDone(EmailState.IN_DOUBT)),
    (
        "doubt, once even with one attempt",
        Standing(EmailState.IN_DOUBT, 1),
        replace(RESEND, max_attempts=1),
        FACTS,
        Go(2, after_doubt=True),
    ),
    ("doubt stays doubt", Standing(EmailState.IN_DOUBT, 1), RESEND, replace(FACTS, control="cancelled"), AlreadyDone(EmailState.IN_DOUBT)),
    (
        "doubt, paused",
        Standing(EmailState.IN_DOUBT, 1),
        RESEND,
        replace(FACTS, control="paused"),
        SetAside(2),
    ),
    ("requeued by an operator", Standing(EmailState.QUEUED, 2), replace(MAIL, attempt=2), FACTS, Go(2)),
    ("requeued, then crashed", Standing(EmailState.QUEUED, 2), RESEND, FACTS, Go(2)),
)


@pytest.mark.parametrize(("standing", "email", "facts", "decision"), [row[1:] for row in BEFORE], ids=[row[0] for row in BEFORE])
def test_before_an_attempt(standing: Standing | None, email: EmailQueued, facts: Facts, decision: object) -> None:
    assert before_attempt(email, standing, facts) == decision


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_ended_is_never_offered_again(status: EmailState) -> None:
    assert before_attempt(RESEND, Standing(status, 1), FACTS) == AlreadyDone(status)


def test_a_temporary_failure_is_retried_until_the_attempts_are_used() -> None:
    first = after_failure(1, 3, BUSY, MAIL.expires_at, NOW, "e1")
    assert first == Retry(retry_at(1, "e1", NOW), 3)
    assert isinstance(after_failure(2, 3, BUSY, MAIL.expires_at, NOW, "e1"), Retry)
    assert after_failure(3, 3, BUSY, MAIL.expires_at, NOW, "e1") == GiveUp(EmailState.FAILED, "attempts_exhausted")


def test_an_outage_of_the_server_uses_up_no_attempts() -> None:
    allowed = 3
    for attempt in range(1, 21):
        after = after_failure(attempt, allowed, AWAY, MAIL.expires_at, NOW, "e1")
        assert isinstance(after, Retry)
        allowed = after.max_attempts
    assert allowed == 23


def test_no_retry_is_set_beyond_the_expiry() -> None:
    assert after_failure(1, 3, BUSY, NOW + timedelta(seconds=40), NOW, "e1") == GiveUp(EmailState.EXPIRED, "expired")


def test_a_refusal_is_final_and_a_doubt_is_never_retried_by_itself() -> None:
    refused = judge(Phase.RCPT, Reply(550, "5.1.1 nobody"))
    assert after_failure(1, 3, refused, MAIL.expires_at, NOW, "e1") == GiveUp(EmailState.FAILED, "mailbox_unknown")
    unheard = judge(Phase.DOT, Fault("timeout"))
    assert after_failure(1, 3, unheard, MAIL.expires_at, NOW, "e1") == GiveUp(EmailState.IN_DOUBT, "timeout_after_dot")


def test_backoff_grows_is_spread_and_is_the_same_on_a_replay() -> None:
    waits = [retry_at(attempt, "e1", NOW) - NOW for attempt in range(1, 8)]
    assert waits == sorted(waits)
    assert timedelta(seconds=48) <= waits[0] <= timedelta(seconds=72)
    assert retry_at(99, "e1", NOW) - NOW <= timedelta(hours=9.6)
    assert retry_at(1, "e1", NOW) == retry_at(1, "e1", NOW)
    spread = {retry_at(1, f"e{number}", NOW) for number in range(1000)}
    assert len(spread) > 990
    assert max(spread) - min(spread) > timedelta(seconds=23)
