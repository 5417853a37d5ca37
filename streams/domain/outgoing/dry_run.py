"""What a request would come to, without a broker: its lines as JSON, what they add up to, and how two versions differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Any

from streams.domain.compose import compose
from streams.domain.outgoing.check import Checked, check
from streams.domain.outgoing.expansion import Facts, Line, expand
from streams.domain.outgoing.policy import Policy, due_at
from streams.domain.outgoing.problems import Refused, RequestRefused
from streams.domain.outgoing.request import Parsed
from streams.events import Composed, EmailQueued, MessageRequest, RecipientSkipped

Row = dict[str, Any]
COMPARED = ("outcome", "reason", "subject", "text", "html")
LEFT_OUT = 10  # people without a mail are named, and counted beyond that
ENDS = 3  # how many of the emptiest and of the longest texts are kept


@dataclass(frozen=True, slots=True)
class DryRun:
    """A checked request with its lines still to come."""

    checked: Checked
    lines: Iterator[Line]


def dry_run(
    parsed: Parsed, facts: Facts, now: datetime, policy: Policy, gaps: Counter[str], chunks: Iterable[MessageRequest] | None = None
) -> DryRun:
    """Expand the whole request, or its `chunks` where its people came apart from it, as it would be when it is due. Raises RequestRefused."""
    checked = check(parsed.request, now, policy)
    if isinstance(checked, Refused):
        raise RequestRefused(checked)
    at = max(now, due_at(parsed.request))
    parts = [parsed.request] if chunks is None else chunks
    return DryRun(checked, chain.from_iterable(expand(replace(checked, request=part), facts, at, gaps) for part in parts))


def row(line: Line, checked: Checked) -> Row:
    """One line of the answer (architecture, section 8)."""
    who: Row = {"email_id": line.email_id, "user_id": line.user_id, "to": line.to, "from": checked.sender}
    match line:
        case EmailQueued(content=Composed() as said):
            headers = {header.name: header.value for header in said.headers}
            text: Row = {"subject": line.subject, "text": said.text, "html": said.html, "headers": headers}
            return {**who, "envelope_from": line.envelope_from, **text, "outcome": "queued", "reason": None}
        case RecipientSkipped(reason=reason, detail=detail):
            nothing: Row = {"subject": None, "text": None, "html": None, "headers": {}}
            why: Row = {"outcome": "skipped", "reason": reason, "detail": detail}
            return {**who, "envelope_from": checked.request.site.bounces, **nothing, **why}
    raise TypeError("a request expands to nothing else")


def rejection(refused: Refused) -> Row:
    """The answer for a request of which nothing goes out."""
    problems = [{"code": problem.code, "where": problem.where, "text": problem.text} for problem in refused.problems]
    return {"outcome": "rejected", "reason": refused.reason, "detail": refused.detail, "problems": problems}


@dataclass(slots=True)
class Totals:
    """What the lines add up to. `shortest` and `longest` are (characters of text, to, subject, text), nearest the end first.

    `left_out` are (whom it is about, why) of the first who get nothing.
    """

    queued: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    shortest: list[tuple[int, str, str, str]] = field(default_factory=list)
    longest: list[tuple[int, str, str, str]] = field(default_factory=list)


def add_up(lines: Iterator[Line]) -> Totals:
    """Goes through the lines once and keeps a number for each, and a few texts. Sizes are bytes as sent, without attachments."""
    totals = Totals()
    for line in lines:
        match line:
            case EmailQueued(content=Composed() as said):
                totals.queued += 1
                totals.sizes.append(len(compose(replace(line, content=replace(said, attachments=[])), {})))
                text = (len(said.text.strip()), line.to, line.subject, said.text)
                totals.shortest = sorted([*totals.shortest, text])[:ENDS]
                totals.longest = sorted([*totals.longest, text], reverse=True)[:ENDS]
            case RecipientSkipped(reason=reason, detail=detail):
                totals.skipped[reason] += 1
                if len(totals.left_out) < LEFT_OUT:
                    totals.left_out.append((line.to or f"user {line.user_id}", detail or reason))
    return totals


def differences(before: Mapping[str, Row], after: Mapping[str, Row]) -> Iterator[Row]:
    """Each address whose answer differs between two versions, in the order of the first; rows are by email_id."""
    for email_id in dict.fromkeys([*before, *after]):
        old, new = before.get(email_id, {}), after.get(email_id, {})
        changes = {name: [old.get(name), new.get(name)] for name in COMPARED if old.get(name) != new.get(name)}
        if changes:
            known = new or old
            yield {"email_id": email_id, "user_id": known["user_id"], "to": known["to"], "changes": changes}
