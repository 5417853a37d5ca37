"""A request's document on its way to Kafka: the same for the command line and for HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from streams.domain.outgoing.chunks import chunks, groups, split_into_chunks
from streams.domain.outgoing.fields import Notes
from streams.domain.outgoing.people import Audience, read_lines
from streams.domain.outgoing.policy import Policy, needs_approval
from streams.domain.outgoing.request import parse_head, parse_request
from streams.events import MessageRequest
from streams.publisher import Record
from streams.settings import Settings
from streams.state.scratch import Scratch
from streams.topics import MESSAGE_REQUESTS, MESSAGE_REQUESTS_BULK


@dataclass(frozen=True, slots=True)
class Submission:
    """A sound request, the records that hand it in, and what its author should know all the same."""

    request: MessageRequest
    records: list[Record]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A sound request without its people: they come with `chunks`, its `number` records, as often as these are asked for."""

    head: MessageRequest
    number: int
    warnings: tuple[str, ...]
    scratch: Scratch

    def chunks(self) -> Iterator[MessageRequest]:
        return chunks(self.head, self.scratch.people(), self.scratch.parts, self.scratch.met("address"))


def policy_of(settings: Settings) -> Policy:
    """What this installation has chosen about outgoing mail."""
    return Policy(
        one_label_from=bool(settings.one_label_from),
        verp=bool(settings.verp),
        attempts=settings.attempts,
        approval_over=settings.approval_over,
    )


def submission(document: object, now: datetime, policy: Policy) -> Submission:
    """The records of a request. The same document gives the same ones, but for `now`. Raises RequestRefused with every fault."""
    parsed = parse_request(document, now, policy)
    records = [record_of(chunk, policy) for chunk in split_into_chunks(parsed.request)]
    return Submission(parsed.request, records, parsed.warnings)


def gather(document: object, lines: Iterable[bytes], now: datetime, policy: Policy, scratch: Scratch) -> Gathered:
    """A request whose recipients are lines of JSON, in flat memory, however many. Raises RequestRefused with every fault.

    What comes of it is what `submission` makes of the same people within the document.
    """
    notes, audience = Notes(), Audience()
    for part in groups(read_lines(lines, scratch.met("user"), notes, audience)):
        scratch.put(part)
    parsed = parse_head(document, audience, notes, now, policy)
    return Gathered(parsed.request, scratch.parts or 1, parsed.warnings, scratch)


def record_of(chunk: MessageRequest, policy: Policy) -> Record:
    """The record of a request, or of one of its chunks: all but the first of a bulk request stand where nothing urgent waits.

    Those that wait for approval stand with the first, for the approval must find them.
    """
    apart = chunk.chunk > 0 and chunk.priority == "bulk" and not needs_approval(chunk, policy)
    return Record.of(MESSAGE_REQUESTS_BULK if apart else MESSAGE_REQUESTS, chunk.request_id, chunk, chunk.content_hash[:32])
