"""expand: takes in message requests, and turns urgent ones into one queued email, or one skip with its reason, per recipient address.

A request waits here for its time and for approval; cancelling, pausing and approving it go through here as well, into
the table of controls that every sender holds. Of a bulk request only the first record comes here, or all where they need
approval: what may go out is handed on to expand.bulk, so that nothing urgent waits behind it (docs/decisions/0011).
Expanding a record again yields the same emails with the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from streams import ports, topics
from streams.agents.chunks import Chunks, expansions
from streams.delay import delayed
from streams.domain.outgoing.policy import due_at, expires_at, needs_approval
from streams.domain.outgoing.problems import Refused
from streams.events import (
    MessageRequest,
    MessageRequestApproved,
    MessageRequestCancelled,
    MessageRequestPaused,
    MessageRequestResumed,
    RequestCancelled,
    RequestConflicted,
    RequestControl,
    RequestRejected,
    RequestScheduled,
)
from streams.outcomes import Dead, Done, Outcome, Source
from streams.publisher import Publisher, Record, batches
from streams.reading import records_at
from streams.settings import Settings
from streams.shell import WorldBroken
from streams.state.catch_up import Ledgers, LedgerUnusable
from streams.state.done import chunk_key
from streams.state.ledger import Ledger
from streams.state.table import TopicTables
from streams.submission import policy_of

AFTER_ALL = timedelta(seconds=10)  # behind the end: an approval at the last moment is expanded, and its ledger knows that
STATES: dict[type, str] = {
    MessageRequestCancelled: "cancelled",
    MessageRequestApproved: "approved",
    MessageRequestPaused: "paused",
    MessageRequestResumed: "running",
}


class Expander:
    """Handles message-requests for streams/shell.py, one record of a partition at a time."""

    def __init__(self, settings: Settings, tables: TopicTables, done: Ledgers, publisher: Publisher) -> None:
        self._settings = settings
        self._policy = policy_of(settings)
        self._done = done
        self._publisher = publisher
        self._chunks = Chunks(settings, tables, publisher)
        self._controls = tables.rows(topics.REQUEST_CONTROLS)
        self._own: dict[str, RequestControl] = {}  # what this process said, until the table has it

    async def __call__(self, event: Any, source: Source) -> Outcome:
        """A request that cannot be expanded is rejected with every reason. Raises WorldBroken if the ledger cannot be trusted."""
        if isinstance(event, MessageRequest):
            return await self._request(event, source)
        if type(event) in STATES:
            return await self._say(event, STATES[type(event)], source)
        return Dead("unexpected_event", type(event).__name__)

    async def _request(self, request: MessageRequest, source: Source) -> Outcome:
        at = ports.now()
        ledger = await self._ledger(source)
        if ledger.number(chunk_key(request.request_id, request.chunk)) is not None:
            return self._again(request, at, source)
        conflict = self._conflict(request, at)
        if conflict is not None:
            return Done("conflict", expansions([conflict], source))
        control = self._control(request.request_id)
        state = control.state if control else "running"
        if state in ("cancelled", "rejected"):
            return Done(state)
        checked = self._chunks.check(request, at)
        if isinstance(checked, Refused):
            return self._reject(request, checked, at, source)
        waiting = self._wait(request, state, at, source)
        accepted = self._accept(request, state, at, source)
        if waiting:
            return Done("waiting", [*accepted, *waiting])
        if request.priority == "urgent":
            return await self._chunks.expand(checked, at, source, ledger, accepted)
        handed_on = Record.of(topics.MESSAGE_REQUESTS_BULK, request.request_id, request, source.trace)
        return Done("handed_on", [*accepted, replace(handed_on, partition=source.partition)])

    def _again(self, request: MessageRequest, at: datetime, source: Source) -> Outcome:
        """A record that was expanded before: a replay, or the same request once more. Or another one under its id."""
        conflict = self._conflict(request, at)
        return Done("conflict", expansions([conflict], source)) if conflict else Done("already_expanded")

    def _conflict(self, request: MessageRequest, at: datetime) -> RequestConflicted | None:
        control = self._control(request.request_id)
        if control is None or control.content_hash in ("", request.content_hash):
            return None
        return RequestConflicted(request.request_id, at, request.content_hash, control.content_hash)

    async def _ledger(self, source: Source) -> Ledger:
        try:
            return await self._done.of(source.partition)
        except LedgerUnusable as error:
            raise WorldBroken(str(error)) from error

    def _reject(self, request: MessageRequest, refused: Refused, at: datetime, source: Source) -> Outcome:
        problems = [str(problem) for problem in refused.problems]
        rejected = RequestRejected(request.request_id, at, request.content_hash, refused.reason, problems)
        said = self._controlled(request.request_id, "rejected", refused.reason, request.content_hash, at, source)
        return Done("rejected", [*expansions([rejected], source), said])

    def _accept(self, request: MessageRequest, state: str, at: datetime, source: Source) -> list[Record]:
        """The id is taken by this content from now on."""
        control = self._control(request.request_id)
        if control and control.content_hash:
            return []
        return [self._controlled(request.request_id, state, "expand", request.content_hash, at, source)]

    def _wait(self, request: MessageRequest, state: str, at: datetime, source: Source) -> list[Record]:
        """The records by which the request waits for its time, or for approval; none if it is due and allowed."""
        due = due_at(request)
        if due > at:
            scheduled = RequestScheduled(request.request_id, at, due, "not_before")
            again = Record.of(topics.MESSAGE_REQUESTS, request.request_id, request, source.trace)
            return [*expansions([scheduled], source), delayed(again, due, at)]
        control = self._control(request.request_id)
        if not needs_approval(request, self._policy) or is_approved(control):
            return []
        scheduled = RequestScheduled(request.request_id, at, None, "awaiting_approval")
        waits = sorted({*(control.waits if control else []), source.offset})
        said = self._controlled(request.request_id, state, "expand", request.content_hash, at, source, waits)
        return [*expansions([scheduled], source), said, *_when_over(request, at, source)]

    async def _say(self, event: Any, state: str, source: Source) -> Outcome:
        at = ports.now()
        control = self._control(event.request_id)
        if control and control.state in ("cancelled", "rejected"):
            return Done("too_late")
        taken, waits = (control.content_hash, control.waits) if control else ("", [])
        if state == "approved":
            return await self._approve(event, "paused" if control and control.state == "paused" else state, taken, at, source, waits)
        said = self._controlled(event.request_id, state, event.by, taken, at, source, waits)
        if state != "cancelled":
            return Done(state, [said])
        cancelled = RequestCancelled(event.request_id, at, event.by, event.reason)
        return Done(state, [*expansions([cancelled], source), said])

    async def _approve(
        self, event: MessageRequestApproved, state: str, taken: str, at: datetime, source: Source, waits: Sequence[int]
    ) -> Outcome:
        """A paused request stays so: whoever approves it did not say that it goes on."""
        said = self._controlled(event.request_id, state, event.by, taken, at, source, waits, approved=True)
        if not waits:
            return Done("approved", [said])
        await self._publisher.publish([said])
        await self._bring_back(waits, source)
        # Only now, for after a crash in between the approval must find them again.
        return Done("approved", [self._controlled(event.request_id, state, event.by, taken, at, source)])

    async def _bring_back(self, waits: Sequence[int], source: Source) -> None:
        """Let the request's records that waited for approval come round again, as they were. Raises PublishFailed."""
        found = records_at(self._settings, topics.MESSAGE_REQUESTS, source.partition, waits)
        again = batches(Record(topics.MESSAGE_REQUESTS, record.key or b"", record.value, source.trace) for record in found)
        while batch := await asyncio.to_thread(next, again, None):
            await self._publisher.publish(batch)

    def _control(self, request_id: str) -> RequestControl | None:
        row: RequestControl | None = self._controls.get(request_id.encode())
        own = self._own.get(request_id)
        if own is not None and row is not None and row.at >= own.at:
            del self._own[request_id]
            return row
        return own or row

    def _controlled(
        self,
        request_id: str,
        state: str,
        by: str,
        content_hash: str,
        at: datetime,
        source: Source,
        waits: Sequence[int] = (),
        *,
        approved: bool = False,
    ) -> Record:
        approved = approved or is_approved(self._control(request_id))
        control = RequestControl(request_id, at, state, by, content_hash, [*waits], approved)
        self._own[request_id] = control
        return Record.of(topics.REQUEST_CONTROLS, request_id, control, source.trace)


def _when_over(request: MessageRequest, at: datetime, source: Source) -> list[Record]:
    """What brings a request that waits for approval back when its time is over: to be rejected as that, if it still waits."""
    again = Record.of(topics.MESSAGE_REQUESTS, request.request_id, request, source.trace)
    try:
        return [delayed(again, expires_at(request) + AFTER_ALL, at)] if request.chunk == 0 else []
    except OverflowError:  # its time is never over
        return []


def is_approved(control: RequestControl | None) -> bool:
    """Whether somebody approved the request, whatever was said of it since; rows of the first version say it by their state alone."""
    return control is not None and (control.approved or control.state == "approved")
