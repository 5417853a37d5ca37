"""expand.bulk: expands the records of bulk requests, while `expand` is free for urgent ones and for words.

`expand` decides about a request by its first record, and lets that through to here. The further ones stand here from the beginning and
go by what it said: the request's row among the controls, with the hash of the content that was accepted (docs/decisions/0011).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any

from streams import ports, topics
from streams.agents.chunks import Chunks
from streams.delay import delayed
from streams.domain.outgoing.policy import due_at, expires_at
from streams.domain.outgoing.problems import Refused
from streams.events import MessageRequest, RequestControl
from streams.outcomes import Dead, Done, Outcome, Source
from streams.paused import aside
from streams.publisher import Record
from streams.shell import WorldBroken
from streams.state.catch_up import Ledgers, LedgerUnusable
from streams.state.done import chunk_key
from streams.state.ledger import Ledger
from streams.state.table import TopicTables

LOOK = timedelta(seconds=10)  # how soon a record looks again whose request is not accepted yet
LONGEST_LOOK = timedelta(hours=1)
PATIENCE = timedelta(seconds=2)  # the word on the first record follows in less
KEPT_PATIENCE = 1000
POLL_S = 0.02
DROPPED = ("cancelled", "rejected")


class BulkExpander:
    """Handles message-requests.bulk for streams/shell.py."""

    def __init__(self, chunks: Chunks, tables: TopicTables, done: Ledgers) -> None:
        self._chunks = chunks
        self._controls = tables.rows(topics.REQUEST_CONTROLS)
        self._done = done
        self._patience: OrderedDict[str, datetime] = OrderedDict()  # until when each request is waited for

    async def __call__(self, event: Any, source: Source) -> Outcome:
        """Raises WorldBroken if the ledger cannot be trusted."""
        if not isinstance(event, MessageRequest):
            return Dead("unexpected_event", type(event).__name__)
        try:
            ledger = await self._done.of(source.partition)
        except LedgerUnusable as error:
            raise WorldBroken(str(error)) from error
        if ledger.number(chunk_key(event.request_id, event.chunk)) is not None:
            return Done("already_expanded")
        if due_at(event) > (at := ports.now()):
            return Done("scheduled", [_again(event, due_at(event), at, source)])
        return await self._due(event, source, ledger)

    async def _due(self, request: MessageRequest, source: Source, ledger: Ledger) -> Outcome:
        control, at = await self._said(request), ports.now()
        state = control.state if control else "running"
        if state in DROPPED:
            return Done(state)
        if control and control.content_hash not in ("", request.content_hash):
            return Done("conflict")  # as `expand` recorded when it saw the first record
        if state == "paused" and at <= expires_at(request):  # what is over would come back at once, and so for ever
            return Done(state, [aside(_record(request, source), request.request_id, expires_at(request), at, source)])
        if request.chunk > 0 and not is_accepted(control):
            return _not_yet(request, at, source)
        # Accepted is accepted: if its time ran out on the way here, each of its mails expires with a record.
        checked = self._chunks.check(request, min(at, expires_at(request)))
        if isinstance(checked, Refused):
            return Dead("refused", checked.detail)
        return await self._chunks.expand(checked, at, source, ledger)

    async def _said(self, request: MessageRequest) -> RequestControl | None:
        """The request's row. Of those that it has no word of yet, each request is waited for once, and only for a moment."""
        until = self._patience.setdefault(request.request_id, ports.now() + PATIENCE)
        while True:
            row: RequestControl | None = self._controls.get(request.request_id.encode())
            if request.chunk == 0 or is_accepted(row) or (row and row.state in DROPPED) or ports.now() >= until:
                break
            await asyncio.sleep(POLL_S)
        while len(self._patience) > KEPT_PATIENCE:
            self._patience.popitem(last=False)
        return row


def is_accepted(control: RequestControl | None) -> bool:
    """Whether a request's first record was let through: its content has the id, and nothing waits for approval."""
    return control is not None and bool(control.content_hash) and not control.waits


def _not_yet(request: MessageRequest, at: datetime, source: Source) -> Outcome:
    """Look again, less and less often: the first record may be late, or was never handed in."""
    if at > expires_at(request):
        return Done("never_accepted")
    wait = min(max((at - request.submitted_at) / 2, LOOK), LONGEST_LOOK)
    return Done("not_accepted_yet", [_again(request, at + wait, at, source)])


def _again(request: MessageRequest, due: datetime, at: datetime, source: Source) -> Record:
    return delayed(_record(request, source), due, at)


def _record(request: MessageRequest, source: Source) -> Record:
    return Record.of(topics.MESSAGE_REQUESTS_BULK, request.request_id, request, source.trace)
