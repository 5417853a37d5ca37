"""feedback: folds bounces, complaints and unsubscribes into the current state of each address (topic suppressions)."""

from __future__ import annotations

from typing import Any

from streams import topics
from streams.events import EmailBounced, EmailComplained, Resubscribed, Suppression, Unsubscribed
from streams.outcomes import Dead, Done, Outcome, Source
from streams.ports import EVERY_PURPOSE, suppression_key
from streams.publisher import Record
from streams.state.table import TopicTables


class Feedback:
    """Handles feedback for streams/shell.py. The newest word about an address counts, in whatever order the words come.

    Providers repeat themselves for days: what was said before somebody came back must not silence them again.
    """

    def __init__(self, tables: TopicTables) -> None:
        self._tables = tables

    async def __call__(self, event: Any, source: Source) -> Outcome:
        """Total; a soft bounce changes nothing. Repeating it yields the same row.

        Nor does a report without an address hash: it did not prove that it is about a mail of ours, and anyone can write one.
        """
        if not isinstance(event, EmailBounced | EmailComplained | Unsubscribed | Resubscribed):
            return Dead("unexpected_event", type(event).__name__)
        state = suppression_of(event)
        if state is None or not state.address_hash:
            return Done("counted")
        key = suppression_key(state.address_hash, state.purpose)
        held: Suppression | None = self._tables.rows(topics.SUPPRESSIONS).get(key)
        if held is not None and held.at > state.at:
            return Done("outdated")
        self._tables.note(topics.SUPPRESSIONS, key, state)
        return Done(state.reason, [Record.of(topics.SUPPRESSIONS, key.decode(), state, source.trace)])


def suppression_of(event: Any) -> Suppression | None:
    """What an address's state becomes by an event of topic feedback; none if it stays."""
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
