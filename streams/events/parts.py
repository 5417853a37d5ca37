"""The values that several events share."""

from __future__ import annotations

from dataclasses import dataclass

Json = str  # a JSON document as text


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """Where bytes too big for a record are kept: a key of the body store, and what they must hash to."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Contact:
    """A guardian or emergency contact (spec 1.7, ContactInfo)."""

    first_name: str
    last_name: str
    email: str


@dataclass(frozen=True, slots=True)
class Creator:
    """The admin who composed a request."""

    user_id: str
    first_name: str
    last_name: str
    email: str


@dataclass(frozen=True, slots=True)
class Site:
    """The chapter site that a request speaks for."""

    domain: str
    group_name: str
    bounces: str
    support: str


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient user of a request, with the contacts of the latest profile and the values of its variables."""

    user_id: str
    username: str
    first_name: str
    last_name: str
    email: str
    active: bool = True
    guardian: Contact | None = None
    emergency: Contact | None = None
    variables: Json = "{}"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file beside the text; inline where `content_id` is set."""

    filename: str
    content_type: str
    content_id: str | None
    body: ClaimCheck


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one method of authentication (spf, dkim, dmarc) said, and of which domain; blank where it names none."""

    method: str
    result: str
    domain: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who vouched for a mail's sender: the host that judged, whether that was this installation (`own`) or an MTA, and what it found."""

    by: str
    own: bool
    results: list[MethodResult]


@dataclass(frozen=True, slots=True)
class Header:
    """One header field, decoded."""

    name: str
    value: str
