"""Mail that must go no further: loops, and mail that machines wrote (RFC 3834; spec 8, row 42; reliability.md, R-01, R-02)."""

from __future__ import annotations

import re
from collections.abc import Callable

from streams.domain.addresses import CONTROL
from streams.domain.routing.directory import Directory
from streams.domain.routing.fields import Head
from streams.domain.routing.model import Addressee
from streams.events import SiteRow

MAX_HOPS = 50  # Received fields; Exim's and Postfix's default limits are 30 and 50
FOR_MACHINES = frozenset({"postmaster", "abuse"})  # they take reports, which robots write (RFC 5965)
MASS_PRECEDENCE = frozenset({"bulk", "junk", "list"})
COMMENT = re.compile(r"\((?:[^()]|\([^()]*\))*\)")  # two deep at most
# A mail with any of these was not typed by a person who waits for an answer.
NEVER_ANSWERED = ("list-id", "list-unsubscribe", "list-post", "precedence", "x-auto-response-suppress", "x-autoreply", "x-autorespond")


def machine_made(head: Head, to: Addressee, directory: Directory) -> str | None:
    """Why this mail stops here (a code), or none."""
    stops = LOOPS if to.local in FOR_MACHINES else LOOPS + MACHINES
    return next((reason for reason, applies in stops if applies(head, to, directory)), None)


def came_from_known_list(head: Head, hosts: list[str]) -> bool:
    """True if List-Id names a list of one of these hosts (RFC 2919, section 3)."""
    for field in head.all("list-id"):
        name = field.text.rpartition("<")[2].partition(">")[0].strip().lower()
        if any(name == host.lower() or name.endswith(f".{host.lower()}") for host in hosts):
            return True
    return False


def may_be_answered(head: Head, mail_from: str) -> bool:
    """False for mail that no machine may answer (RFC 3834, section 2)."""
    return bool(mail_from) and not any(head.first(name) for name in NEVER_ANSWERED) and not _auto_submitted(head)


def marks(head: Head, directory: Directory) -> frozenset[Addressee]:
    """The addresses of the site that this mail has been through already."""
    found = (directory.addressee(CONTROL.sub("", field.text)) for field in head.all("delivered-to"))
    return frozenset(to for to in found if to is not None)


def _been_here(head: Head, to: Addressee, directory: Directory) -> bool:
    return to in marks(head, directory)


def _too_many_hops(head: Head, _to: Addressee, _directory: Directory) -> bool:
    return len(head.all("received")) > MAX_HOPS


def _auto_submitted(head: Head, _to: Addressee | None = None, _directory: Directory | None = None) -> bool:
    words = (COMMENT.sub(" ", field.text) for field in head.all("auto-submitted"))
    return any(said.partition(";")[0].partition("(")[0].strip().lower() != "no" for said in words)


def _mass_mail(head: Head, to: Addressee, directory: Directory) -> bool:
    if not any(field.text.strip().lower() in MASS_PRECEDENCE for field in head.all("precedence")):
        return False
    return not came_from_known_list(head, known_hosts(directory.sites[to.domain]))


def known_hosts(site: SiteRow) -> list[str]:
    """Hosts whose lists may write to us: the site's own lists (a director is behind an alias here), and those it named."""
    return [site.domain, *site.list_hosts]


Stops = tuple[tuple[str, Callable[[Head, Addressee, Directory], bool]], ...]
LOOPS: Stops = (
    ("loop", _been_here),  # its own mark (Delivered-To) is on it; X-ESP-SENDER alone stops nothing
    ("too_many_hops", _too_many_hops),  # a loop through hosts that take our mark off
)
MACHINES: Stops = (
    ("auto_submitted", _auto_submitted),  # vacation notes and robots have no business on lists
    ("precedence", _mass_mail),  # mass mail, unless a list that we know sent it
)
