"""Rows of spec 9.4 (and 8, row 5) that delivery policy answers, by number: one mail's life against a server that says what the row says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast

import pytest

from streams.domain.delivery import (
    AlreadyDone,
    Facts,
    Fault,
    GiveUp,
    Go,
    Phase,
    Reply,
    Standing,
    Verdict,
    after_failure,
    before_attempt,
    judge,
)
from streams.domain.states import EmailState
from streams.domain.verdicts import FaultKind
from streams.events import EmailQueued
from tests.services.example import MAIL

ROWS = [json.loads(line) for line in (Path(__file__).parent / "delivery.jsonl").read_text(encoding="utf-8").splitlines()]
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@dataclass(slots=True)
class Life:
    """What happened to one mail."""

    status: EmailState = EmailState.QUEUED
    reason: str = ""
    verdict: Verdict | None = None
    attempts: int = 0
    waits_s: list[float] = field(default_factory=list)


def queued(row: dict[str, Any]) -> EmailQueued:
    return replace(
        MAIL,
        queued_at=START,
        expires_at=START + timedelta(seconds=row.get("expires_after_s", 7 * 86400)),
        max_attempts=row.get("retries", 2) + 1,
        on_doubt=row.get("on_doubt", "hold"),
    )


def lived(row: dict[str, Any]) -> Life:
    """The sender's loop without its world: ask, offer, judge, wait. The last answer is repeated for ever."""
    email, now, life, standing = queued(row), START, Life(), None
    for phase, said, words in chain(row["answers"], repeat(row["answers"][-1])):
        decision = before_attempt(email, standing, Facts("running", None, "me", now))
        if isinstance(decision, AlreadyDone):
            return life
        assert isinstance(decision, Go)
        life.attempts = decision.attempt
        life.verdict = judge(Phase(phase), Fault(cast("FaultKind", said)) if isinstance(said, str) else Reply(said, words))
        if life.verdict.kind == "sent":
            life.status, life.reason = EmailState.SENT, ""
            return life
        after = after_failure(decision.attempt, email.max_attempts, life.verdict, email.expires_at, now, email.email_id)
        if isinstance(after, GiveUp):
            life.status, life.reason = after.outcome, after.reason
            standing = Standing(after.outcome, decision.attempt)
        else:
            life.waits_s.append((after.at - now).total_seconds())
            standing = Standing(EmailState.DEFERRED, decision.attempt)
            email, now = replace(email, attempt=decision.attempt + 1, max_attempts=after.max_attempts), after.at
    raise AssertionError("the answers never end")


@pytest.mark.parametrize("row", ROWS, ids=[row["row"] for row in ROWS])
def test_row(row: dict[str, Any]) -> None:
    life, expect = lived(row), row["expect"]
    assert (life.status, life.attempts) == (expect["status"], expect["attempts"])
    assert life.reason == expect.get("reason", "")
    assert life.verdict is not None
    assert life.verdict.reply == expect.get("reply", life.verdict.reply)
    assert life.verdict.hard_bounce == expect.get("hard_bounce", life.verdict.hard_bounce)
    for waited, (least, most) in zip(life.waits_s, expect.get("waits_s", []), strict=False):
        assert least <= waited <= most


def test_92_failing_mails_take_nothing_from_the_others() -> None:
    """Each mail's decision is its own: 1000 that fail at once are due again at 1000 different times, none of them now."""
    again = [after_failure(1, 3, judge(Phase.RCPT, Reply(451, "later")), START + timedelta(days=7), START, f"e{n}") for n in range(1000)]
    due = [retry.at for retry in again if not isinstance(retry, GiveUp)]
    assert len(set(due)) > 990
    assert min(due) >= START + timedelta(seconds=48)
