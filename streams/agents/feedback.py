"""feedback: folds bounces, complaints and unsubscribes into the current state of each address (topic suppressions)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from streams import topics
from streams.domain.bounce_kind import bounce_kind
from streams.domain.soft_bounces import SoftPolicy, counted, forgotten, merged, speaks_of_address, worn_out
from streams.events import EmailBounced, EmailComplained, Resubscribed, SoftBounces, Suppression, Unsubscribed
from streams.outcomes import Dead, Done, Outcome, Source
from streams.ports import EVERY_PURPOSE, suppression_key
from streams.publisher import Record
from streams.state.table import TopicTables

TABLES = (topics.SUPPRESSIONS, topics.SOFT_BOUNCES)
KEPT_OWN = 10_000
READ_BY_US = frozenset({"dsn", "prose"})  # whose kind is our reading of words; the others' servers told us


class Feedback:
    """Handles feedback for streams/shell.py. The newest word about an address counts, in whatever order the words come.

    Providers repeat themselves for days: what was said before somebody came back must not silence them again.
    """

    def __init__(self, tables: TopicTables, policy: SoftPolicy) -> None:
        self._tables = tables
        self._policy = policy
        self._own: OrderedDict[str, SoftBounces] = OrderedDict()  # what this process counted: the table may be some rows behind

    async def __call__(self, event: Any, source: Source) -> Outcome:
        """Total. Repeating it yields the same rows; a report by mail is read anew, so that a replay corrects what was misread.

        A report without an address hash changes nothing: it did not prove that it is about a mail of ours, and anyone can write one.
        """
        if not isinstance(event, EmailBounced | EmailComplained | Unsubscribed | Resubscribed):
            return Dead("unexpected_event", type(event).__name__)
        if not event.address_hash:
            return Done("counted")
        event = read_anew(event)
        count = self._count(event)
        records = [] if count is None else [Record.of(topics.SOFT_BOUNCES, count.address_hash, count, source.trace)]
        state = suppression_of(event) or self._of_soft_bounce(event)
        if state is None:
            return Done("counted", records)
        key = suppression_key(state.address_hash, state.purpose)
        held: Suppression | None = self._tables.rows(topics.SUPPRESSIONS).get(key)
        if held is not None and held.at > state.at:
            return Done("outdated", records)
        state = _with_complaint(state, held)
        self._tables.note(topics.SUPPRESSIONS, key, state)
        return Done(state.reason, [*records, Record.of(topics.SUPPRESSIONS, key.decode(), state, source.trace)])

    def _count(self, event: Any) -> SoftBounces | None:
        """The address's count after the event; none if the event is none for it."""
        match event:
            case EmailBounced(kind="soft") if speaks_of_address(event):
                row = counted(self._counted(event.address_hash), event, self._policy)
            case Resubscribed():
                row = forgotten(self._counted(event.address_hash), event.address_hash, event.at)
            case _:
                return None
        self._own[event.address_hash] = row
        if len(self._own) > KEPT_OWN:
            self._own.popitem(last=False)
        return row

    def _counted(self, hashed: str) -> SoftBounces | None:
        return merged(self._own.get(hashed), self._tables.rows(topics.SOFT_BOUNCES).get(hashed.encode()), self._policy)

    def _of_soft_bounce(self, event: EmailBounced) -> Suppression | None:
        """What a soft bounce comes to: one too many, or the end of what the same report was once misread as."""
        count = self._counted(event.address_hash)
        if count is not None and worn_out(count, self._policy):
            return Suppression(event.address_hash, EVERY_PURPOSE, True, "soft_bounces", count.at[-1], event.source)
        held: Suppression | None = self._tables.rows(topics.SUPPRESSIONS).get(suppression_key(event.address_hash, EVERY_PURPOSE))
        if held is not None and (held.reason, held.at, held.by) == ("hard_bounce", event.at, event.source):
            return replace(held, suppressed=False, reason="read_anew")
        return None


def _with_complaint(state: Suppression, held: Suppression | None) -> Suppression:
    """A bounce behind a complaint does not take its place: should it turn out to be misread, the person still wants no mail."""
    if held is None or not (held.suppressed and held.reason == "complaint" and state.suppressed):
        return state
    return replace(held, at=state.at)


def read_anew(event: Any) -> Any:
    """A bounce that we read in a mail, by what we know today of the words in it; any other event as it is."""
    if isinstance(event, EmailBounced) and event.source in READ_BY_US:
        return replace(event, kind=bounce_kind(event.status, event.diagnostic))
    return event


def suppression_of(event: Any) -> Suppression | None:
    """What an address's state becomes by an event of topic feedback alone; none if it stays."""
    match event:
        case EmailBounced(kind="hard"):
            return Suppression(event.address_hash, EVERY_PURPOSE, True, "hard_bounce", event.at, event.source)
        case EmailComplained():
            return Suppression(event.address_hash, EVERY_PURPOSE, True, "complaint", event.at, event.source)
        case Unsubscribed():
            return Suppression(event.address_hash, event.purpose, True, "unsubscribed", event.at, event.source)
        case Resubscribed():
            return Suppression(event.address_hash, event.purpose, False, "resubscribed", event.at, event.by)
    return None
