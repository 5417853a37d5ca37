"""Topics sites, email-lists, people, rosters and redirects: the current row of each key; a tombstone deletes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SiteRow:
    """`list_hosts`: whose List-Id is believed; `authserv_ids`: whose Authentication-Results are (RFC 8601)."""

    domain: str
    group_name: str
    support: str
    bounces: str
    default: str
    list_hosts: list[str]
    authserv_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EmailListRow:
    """A rule of inbound routing (spec 1.5), in the order of `seq`. `who_may_post` "default": as the handler says."""

    seq: int
    regex: str
    handler: str
    subject_prefix: str | None
    admin_hold: bool
    cc_all: bool
    from_email: str | None
    description: str | None
    who_may_post: str = "default"


@dataclass(frozen=True, slots=True)
class PersonRow:
    """An account, as inbound routing needs it."""

    user_id: str
    username: str
    first_name: str
    last_name: str
    email: str
    roles: list[str]
    active: bool


@dataclass(frozen=True, slots=True)
class SectionRow:
    section_id: str
    students: list[str]
    status: str = "accepted"


@dataclass(frozen=True, slots=True)
class RosterRow:
    """A class with its teachers and sections (sections in id order; user ids)."""

    class_id: int
    category: str
    program: str
    director_email: str
    teachers: list[str]
    sections: list[SectionRow]
    status: str = "accepted"


@dataclass(frozen=True, slots=True)
class RedirectRow:
    """A manual alias (spec 1.6): `destination` is a comma-separated list of addresses."""

    original: str
    destination: str
