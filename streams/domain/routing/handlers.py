"""What an address means: each handler names the members behind a local part, or declines (spec 6.4).

A handler is a function of what was asked; a site adds its own by a larger table for index.directory_of. It may read the
directory and nothing else. Blank, inactive and doubled members are named too: leaving them out is decided once, for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.domain.addresses import AddressError, parse_mailbox, split_mailboxes
from streams.domain.routing.directory import Directory
from streams.domain.routing.model import Addressee, Member, number_of
from streams.domain.routing.posting import Sender, is_staff
from streams.events import PersonRow, RosterRow, SectionRow, SiteRow

ACCEPTED_STATUS = "accepted"
# Aliases that a site has without a redirect.
OF_EVERY_SITE: Mapping[str, Callable[[SiteRow], str]] = {
    "info": lambda site: site.default,
    "postmaster": lambda site: site.support,  # RFC 5321, section 4.5.1
    "abuse": lambda site: site.support,  # RFC 2142, section 2
}
KINDS = {  # what stands behind the dash: (teachers get it, students get it)
    "class": (True, True),
    "teachers": (True, False),
    "students": (False, True),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One local part that a rule's pattern matched. `match` is RE2's; `trusted_list`: a list host the site believes sent it."""

    to: Addressee
    match: Any
    groups: tuple[str, ...]
    sender: Sender
    trusted_list: bool
    directory: Directory

    @property
    def site(self) -> SiteRow:
        return self.directory.sites[self.to.domain]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The members in order; `tag` goes into the subject in brackets, `director` decides on mail that is held."""

    members: tuple[Member, ...]
    tag: str | None = None
    director: str = ""


@dataclass(frozen=True, slots=True)
class Declined:
    """Not mine, or not now; `reason` is a code, `unknown_recipient` where there is nothing more to say."""

    reason: str = "unknown_recipient"


@dataclass(frozen=True, slots=True)
class Handler:
    """How to ask a handler, and what its copies are.

    `groups` name the pattern's groups in order (named groups may come in any), `posting` is who may post unless the rule
    says so, a `broadcast` gets a new From, Reply-To and Message-ID, and `purpose` is what its copies are recorded as.
    """

    accept: Callable[[Asked], Accepted | Declined]
    groups: tuple[str, ...] = ()
    posting: str = "accounts"
    broadcast: bool = False
    purpose: str = "alias"


def class_list(asked: Asked) -> Accepted | Declined:
    """Directors, then teachers, then the students of every accepted section."""
    found = _class_asked_for(asked)
    if isinstance(found, Declined):
        return found
    roster, kind = found
    return Accepted(tuple(_members(asked.directory, roster, kind, roster.sections)), _code(roster), roster.director_email)


def section_list(asked: Asked) -> Accepted | Declined:
    """The same for one section, counted from 1 in the order of section ids (spec 1.8)."""
    found = _class_asked_for(asked)
    if isinstance(found, Declined):
        return found
    roster, kind = found
    number = number_of(_group(asked, "section"))
    if number is None or not 1 <= number <= len(roster.sections):
        return Declined("no_such_section")
    section = roster.sections[number - 1]
    if section.status != ACCEPTED_STATUS:
        return Declined("class_not_accepted")
    return Accepted(tuple(_members(asked.directory, roster, kind, [section])), f"{_code(roster)}s{number}", roster.director_email)


def plain_list(asked: Asked) -> Accepted | Declined:
    """The addresses of every redirect of this name; where there is none, what the name means at every site."""
    rows = asked.directory.redirects.get(asked.to.local, ())
    destinations = [row.destination for row in rows]
    if not destinations and asked.to.local in OF_EVERY_SITE:
        destinations = [OF_EVERY_SITE[asked.to.local](asked.site)]
    items = [item for destination in destinations for item in split_mailboxes(destination)]
    return Accepted(tuple(map(_destination, items))) if items else Declined()


def user_email(asked: Asked) -> Accepted | Declined:
    """The account with this username. A student's or guardian's is open to staff and believed lists only (spec 8.1)."""
    people = asked.directory.usernames.get(asked.to.local, ())
    if len(people) > 1:
        return Declined("ambiguous_username")
    if not people:
        return Declined()
    person = people[0]
    # A sender who cannot be named is not declined here, but held by who may post: it may be staff.
    if is_staff(person) or asked.trusted_list or asked.sender.is_staff or asked.sender.mailbox is None:
        return Accepted((_member(person),))
    return Declined("staff_only")


HANDLERS: Mapping[str, Handler] = {
    "ClassList": Handler(class_list, ("class_id", "kind"), broadcast=True, purpose="list"),
    "SectionList": Handler(section_list, ("class_id", "section", "kind"), broadcast=True, purpose="list"),
    "PlainList": Handler(plain_list, posting="anyone"),
    "UserEmail": Handler(user_email),
}


def _class_asked_for(asked: Asked) -> tuple[RosterRow, str] | Declined:
    class_id, kind = number_of(_group(asked, "class_id")), _group(asked, "kind").strip().lower()
    roster = asked.directory.classes.get(class_id) if class_id is not None else None
    if roster is None:
        return Declined("no_such_class")
    # One character before the number is the category's letter (spec 8, row 47); a site's own pattern may have a longer word.
    letter = asked.to.local[: asked.match.start(_place(asked, "class_id"))]
    if len(letter) == 1 and letter != roster.category.lower():
        return Declined("no_such_class")
    if kind not in KINDS:
        return Declined("no_such_list")
    return (roster, kind) if roster.status == ACCEPTED_STATUS else Declined("class_not_accepted")


def _place(asked: Asked, name: str) -> int:
    """The number of the group that holds `name`: by its own name if the pattern has it, else by position."""
    return asked.match.re.groupindex.get(name) or asked.groups.index(name) + 1


def _group(asked: Asked, name: str) -> str:
    return asked.match.group(_place(asked, name)) or ""


def _code(roster: RosterRow) -> str:
    return f"{roster.category}{roster.class_id}"


def _members(directory: Directory, roster: RosterRow, kind: str, sections: Sequence[SectionRow]) -> Iterator[Member]:
    """Directors, teachers, students: each person once, wherever first named."""
    teachers, students = KINDS[kind]
    user_ids = [*roster.teachers] if teachers else []
    if students:
        user_ids += [user_id for section in sections if section.status == ACCEPTED_STATUS for user_id in section.students]
    yield Member(f"{roster.program} Directors", roster.director_email.strip())
    yield from (_by_id(directory, user_id) for user_id in dict.fromkeys(user_ids))


def _by_id(directory: Directory, user_id: str) -> Member:
    person = directory.people.get(user_id)
    return _member(person) if person else Member("", "", user_id)


def _member(person: PersonRow) -> Member:
    return Member(f"{person.first_name} {person.last_name}".strip(), person.email.strip(), person.user_id, person.active)


def _destination(item: str) -> Member:
    try:
        mailbox = parse_mailbox(item)
    except AddressError:
        return Member("", item)
    return Member(mailbox.name, mailbox.address)
