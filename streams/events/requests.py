"""Topic message-requests: what admins want sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from streams.events.parts import Attachment, Creator, Json, Person, Site


@dataclass(frozen=True, slots=True)
class MessageRequest:
    """An admin's message to many people (spec 1.2). Big audiences come as `chunks` records that repeat the head.

    `content_hash` is over what all its records say together, recipients too: the same request_id with another hash is a conflict.
    `person_variables` names each variable that any recipient of any chunk has ("program.student_schedule"); `mailed_before`
    holds the hashes of this chunk's addresses that an earlier chunk mails. With both, each chunk is expanded on its own.
    """

    request_id: str
    submitted_at: datetime
    created_at: datetime
    not_before: datetime | None
    expires_at: datetime | None
    subject: str
    body: str
    sender: str | None
    reply_to: str | None
    special_headers: dict[str, str]
    send_to: str
    priority: str
    public: bool
    dedupe: str
    on_doubt: str
    inline_css: bool
    needs_approval: bool
    creator: Creator
    site: Site
    variables: Json
    attachments: list[Attachment]
    content_hash: str
    chunk: int
    chunks: int
    recipients_total: int
    person_variables: list[str]
    mailed_before: list[str]
    recipients: list[Person]


@dataclass(frozen=True, slots=True)
class MessageRequestCancelled:
    request_id: str
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class MessageRequestApproved:
    request_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class MessageRequestPaused:
    request_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class MessageRequestResumed:
    request_id: str
    at: datetime
    by: str
