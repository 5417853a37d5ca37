"""One record of a request, expanded batch by batch: memory is bounded by a batch, and the process can listen in between."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.keys import load_keyring
from streams import ports, topics
from streams.domain.outgoing.check import Checked, check
from streams.domain.outgoing.expansion import PURPOSE, Facts, Line, expand, gap_warnings
from streams.domain.outgoing.problems import Refused
from streams.events import EmailQueued, MessageRequest, RecipientSkipped, RequestExpanded
from streams.outcomes import Dead, Done, Outcome, Source
from streams.publisher import Publisher, Record, RecordTooLarge, batches
from streams.settings import Settings
from streams.state.ledger import Ledger
from streams.state.table import TopicTables
from streams.submission import policy_of

KEPT_CHECKED = 16
AT_ONCE = 500  # records published together: fewer would cost the broker more, more would keep the process from listening for longer


class Chunks:
    """Checks and expands records of requests; what was compiled for one chunk serves the request's next ones."""

    def __init__(self, settings: Settings, tables: TopicTables, publisher: Publisher) -> None:
        suppression = ports.suppressions(tables)
        self._facts = Facts(lambda hashed: suppression(hashed, PURPOSE), load_keyring(settings.var))
        self._policy = policy_of(settings)
        self._publisher = publisher
        self._checked: OrderedDict[tuple[str, ...], Checked] = OrderedDict()

    def check(self, request: MessageRequest, at: datetime) -> Checked | Refused:
        """As domain/outgoing/check.py, but compiled once a request."""
        known = (request.content_hash, *request.person_variables)
        found = self._checked.get(known)
        if found is not None and at <= found.expires_at:
            return replace(found, request=request)
        checked = check(request, at, self._policy)
        if isinstance(checked, Checked):
            self._checked[known] = checked
            while len(self._checked) > KEPT_CHECKED:
                self._checked.popitem(last=False)
        return checked

    async def expand(self, checked: Checked, at: datetime, source: Source, ledger: Ledger, beside: Sequence[Record] = ()) -> Outcome:
        """Publish the record's emails and skips; what closes it, and `beside`, is left to the shell.

        A crash in the middle repeats it with the same ids. Raises PublishFailed.
        """
        request, kinds, gaps = checked.request, Counter[type](), Counter[str]()
        lines = expand(checked, self._facts, at, gaps)
        try:
            for batch in batches(_records(lines, topics.LANES[request.priority], source.trace, kinds), AT_ONCE):
                await self._publisher.publish(batch)
        except RecordTooLarge as error:
            return Dead("too_large", str(error))
        done = RequestExpanded(
            request_id=request.request_id,
            at=at,
            content_hash=request.content_hash,
            chunk=request.chunk,
            chunks=request.chunks,
            people=len(request.recipients),
            queued=kinds[EmailQueued],
            skipped=kinds[RecipientSkipped],
            warnings=gap_warnings(gaps),
        )
        ledger.note(done)
        return Done("expanded", beside, expansions([done], source))


def expansions(events: Iterable[Any], source: Source) -> list[Record]:
    """Events of a request, for the ledger of the partition that the request stands on, whoever put it there."""
    return [replace(Record.of(topics.EXPANSIONS, event.request_id, event, source.trace), partition=source.partition) for event in events]


def _records(lines: Iterable[Line], lane: str, trace: str, kinds: Counter[type]) -> Iterator[Record]:
    for line in lines:
        kinds[type(line)] += 1
        if isinstance(line, EmailQueued):
            yield Record.of(lane, line.email_id, line, trace)
        else:
            yield Record.of(topics.EXPANSIONS, line.request_id, line, trace)
