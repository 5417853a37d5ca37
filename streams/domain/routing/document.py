"""DIRECTORY.json: read whole, every problem named at once, and turned into rows (architecture.md, section 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from streams.domain.addresses import AddressError, address_hash, ascii_domain, check_address, parse_mailbox, split_mailboxes
from streams.domain.routing import rules
from streams.domain.routing.directory import EVERY_PURPOSE, Directory
from streams.domain.routing.handlers import ACCEPTED_STATUS, HANDLERS, Handler
from streams.domain.routing.index import directory_of
from streams.domain.routing.model import number_of
from streams.domain.routing.shapes import (
    FLAG,
    ID,
    IDS,
    NUMBER,
    NUMBER_OR_NULL,
    REQUIRED,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    Shape,
    filled,
    list_of,
    object_of,
    problems,
    unknown_keys,
)
from streams.events import EmailListRow, PersonRow, RedirectRow, RosterRow, SectionRow, SiteRow, Suppression


def _address(text: str) -> Iterator[str]:
    yield from _refused(check_address, text)


def _address_or_blank(text: str) -> Iterator[str]:
    if text:
        yield from _address(text)


def _domain(text: str) -> Iterator[str]:
    yield from _refused(ascii_domain, text)


def _local_part(text: str) -> Iterator[str]:
    if not text.strip() or "@" in text:
        yield f"an alias is the part before the @, not {text!r}"


def redirect_faults(destination: str) -> Iterator[str]:
    """What is wrong with a redirect's destination, in its writer's words (spec 1.6); an empty item is called <empty>."""
    bad = [item or "<empty>" for item in split_mailboxes(destination) if [*_refused(parse_mailbox, item)]]
    if bad:
        yield f"no usable address: {', '.join(bad)}"


def _refused(check: Callable[[str], object], text: str) -> Iterator[str]:
    try:
        check(text)
    except AddressError as error:
        yield str(error)


def _unique(key: str) -> Callable[[list[Any]], Iterator[str]]:
    def faults(items: list[Any]) -> Iterator[str]:
        counts = Counter(str(item[key]) for item in items if isinstance(item, dict) and key in item)
        yield from (f"{key} {value} stands there {count} times" for value, count in counts.items() if count > 1)

    return faults


ADDRESS = replace(TEXT, faults=_address)
SITE: Shape = {
    "domain": (replace(TEXT, faults=_domain), REQUIRED),
    "group_name": (TEXT, ""),
    "support": (ADDRESS, REQUIRED),
    "bounces": (ADDRESS, REQUIRED),
    "default": (replace(TEXT, faults=_address_or_blank), ""),
    "list_hosts": (TEXTS, []),
    "authserv_ids": (TEXTS, []),
}
PERSON: Shape = {
    "user_id": (ID, REQUIRED),
    "username": (TEXT, REQUIRED),
    "first_name": (TEXT, ""),
    "last_name": (TEXT, ""),
    "email": (TEXT_OR_NULL, ""),
    "roles": (TEXTS, []),
    "active": (FLAG, True),
}
PROGRAM: Shape = {"name": (TEXT, REQUIRED), "director_email": (TEXT, REQUIRED)}
SECTION: Shape = {"section_id": (ID, REQUIRED), "students": (IDS, []), "status": (TEXT, ACCEPTED_STATUS)}
CLASS: Shape = {
    "class_id": (NUMBER, REQUIRED),
    "category": (TEXT, "Z"),  # the original's default symbol (spec 1.8)
    "program": (object_of(PROGRAM), REQUIRED),
    "teachers": (IDS, []),
    "sections": (list_of(SECTION), []),
    "status": (TEXT, ACCEPTED_STATUS),
}
REDIRECT: Shape = {
    "original": (replace(TEXT, faults=_local_part), REQUIRED),
    "destination": (replace(TEXT, faults=redirect_faults), REQUIRED),
}
EMAIL_LIST: Shape = {
    "seq": (NUMBER_OR_NULL, None),
    "regex": (TEXT, REQUIRED),
    "handler": (TEXT, REQUIRED),
    "subject_prefix": (TEXT_OR_NULL, None),
    "admin_hold": (FLAG, False),
    "cc_all": (FLAG, False),
    "from_email": (TEXT_OR_NULL, None),
    "description": (TEXT_OR_NULL, None),
    "who_may_post": (TEXT, "default"),
}
DOCUMENT: Shape = {
    "site": (object_of(SITE), REQUIRED),
    "people": (replace(list_of(PERSON), faults=_unique("user_id")), []),
    "classes": (replace(list_of(CLASS), faults=_unique("class_id")), []),
    "redirects": (list_of(REDIRECT), []),
    "email_lists": (list_of(EMAIL_LIST), []),
    "suppressions": (replace(TEXTS, faults=lambda addresses: (fault for address in addresses for fault in _address(address))), []),
}


class DocumentError(ValueError):
    """The document cannot be used; `problems` are all that is wrong with it, each with its place."""

    def __init__(self, found: list[str]) -> None:
        super().__init__("; ".join(found))
        self.problems = found


@dataclass(frozen=True, slots=True)
class Document:
    """A sound document as rows. `rule_faults`: rules that routing leaves out and that must not be saved."""

    site: SiteRow
    people: tuple[PersonRow, ...]
    rosters: tuple[RosterRow, ...]
    redirects: tuple[RedirectRow, ...]
    email_lists: tuple[EmailListRow, ...]
    suppressions: tuple[str, ...]
    rule_faults: tuple[str, ...]
    warnings: tuple[str, ...]


def read_document(raw: Any, handlers: Mapping[str, Handler] = HANDLERS) -> Document:
    """The rows of a parsed DIRECTORY.json. Raises DocumentError."""
    found = list(problems("", raw, object_of(DOCUMENT)))
    if found:
        raise DocumentError(found)
    document = filled(raw, DOCUMENT)
    lists = _email_lists(document["email_lists"])
    return Document(
        site=_site(filled(document["site"], SITE)),
        people=tuple(_person(filled(person, PERSON)) for person in document["people"]),
        rosters=tuple(_roster(filled(roster, CLASS)) for roster in document["classes"]),
        redirects=tuple(RedirectRow(**filled(redirect, REDIRECT)) for redirect in document["redirects"]),
        email_lists=lists,
        suppressions=tuple(document["suppressions"]),
        rule_faults=tuple(_rule_faults(lists, handlers)),
        warnings=tuple(unknown_keys("", raw, DOCUMENT)),
    )


def directory_from_json(raw: Any, handlers: Mapping[str, Handler] = HANDLERS) -> Directory:
    """The directory of a parsed DIRECTORY.json; rules that cannot be used are in its `rule_faults`. Raises DocumentError."""
    return directory_of_document(read_document(raw, handlers), handlers)


def directory_of_document(document: Document, handlers: Mapping[str, Handler] = HANDLERS) -> Directory:
    """The directory of a document."""
    return directory_of(
        sites=[document.site],
        email_lists=document.email_lists,
        people=document.people,
        rosters=document.rosters,
        redirects=document.redirects,
        suppressed=((address_hash(address), EVERY_PURPOSE) for address in document.suppressions),
        handlers=handlers,
    )


def rows(document: Document, now: datetime) -> Iterator[tuple[str, str, Any]]:
    """Each row as (topic, key, event), for `directory load`. Raises DocumentError for rules that cannot be used, or not be kept."""
    if faults := [*document.rule_faults, *_lost(document.email_lists)]:
        raise DocumentError(faults)
    yield "sites", document.site.domain.lower(), document.site
    yield from (("people", person.user_id, person) for person in document.people)
    yield from (("rosters", str(roster.class_id), roster) for roster in document.rosters)
    yield from (("redirects", f"{row.original.strip().lower()} {row.destination}", row) for row in document.redirects)
    yield from (("email-lists", str(row.seq), row) for row in document.email_lists)
    for address in document.suppressions:
        digest = address_hash(address)
        yield "suppressions", f"{digest}:{EVERY_PURPOSE}", Suppression(digest, EVERY_PURPOSE, True, "directory", now, "directory load")


def _site(values: dict[str, Any]) -> SiteRow:
    trimmed: dict[str, Any] = {key: value.strip() if isinstance(value, str) else value for key, value in values.items()}
    return SiteRow(**trimmed)


def _person(values: dict[str, Any]) -> PersonRow:
    return PersonRow(**{**values, "user_id": str(values["user_id"]), "email": values["email"] or ""})


def _roster(values: dict[str, Any]) -> RosterRow:
    sections = [_section(filled(section, SECTION)) for section in values["sections"]]
    return RosterRow(
        class_id=values["class_id"],
        category=values["category"],
        program=values["program"]["name"],
        director_email=values["program"]["director_email"],
        teachers=[str(user_id) for user_id in values["teachers"]],
        sections=sorted(sections, key=_in_id_order),
        status=values["status"],
    )


def _section(values: dict[str, Any]) -> SectionRow:
    return SectionRow(str(values["section_id"]), [str(user_id) for user_id in values["students"]], values["status"])


def _in_id_order(section: SectionRow) -> tuple[int, str]:
    """A section's number is its place among the class's by id (spec 1.8); ids that are numbers sort as such."""
    return number_of(section.section_id) or 0, section.section_id


def _email_lists(items: list[Any]) -> tuple[EmailListRow, ...]:
    given = [filled(item, EMAIL_LIST) for item in items]
    numbers = rules.numbered([item["seq"] for item in given])
    return tuple(EmailListRow(**{**item, "seq": seq}) for item, seq in zip(given, numbers, strict=True))


def _lost(lists: Iterable[EmailListRow]) -> Iterator[str]:
    """Rules that the next one with the same seq would replace: seq is their key."""
    for seq, count in Counter(row.seq for row in lists).items():
        if count > 1:
            yield f"email list {seq}: {count} rules have this seq, and the table keeps one of each; number them differently"


def _rule_faults(lists: tuple[EmailListRow, ...], handlers: Mapping[str, Handler]) -> Iterator[str]:
    for row in lists:
        yield from rules.rule_problems(row, handlers)
    counts = Counter(row.seq for row in lists)
    yield from (f"email list {seq}: the seq stands there {count} times" for seq, count in counts.items() if count > 1)
