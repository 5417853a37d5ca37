"""From the current rows of the tables to one Directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from streams.domain.routing import rules
from streams.domain.routing.directory import Directory
from streams.domain.routing.handlers import HANDLERS, Handler
from streams.domain.routing.model import key_of, number_of
from streams.events import EmailListRow, PersonRow, RedirectRow, RosterRow, SiteRow

# Of several accounts with one address the first by this speaks (spec 8.1): an administrator, then a teacher, then the oldest.
RANKS = ("administrator", "teacher")


def directory_of(
    *,
    sites: Iterable[SiteRow],
    email_lists: Iterable[EmailListRow],
    people: Iterable[PersonRow],
    rosters: Iterable[RosterRow],
    redirects: Iterable[RedirectRow],
    suppressed: Iterable[tuple[str, str]] = (),
    handlers: Mapping[str, Handler] = HANDLERS,
) -> Directory:
    """The directory of these current rows. `suppressed`: (address hash, purpose); `handlers`: what rules may name."""
    sites, email_lists, people, rosters = list(sites), list(email_lists), list(people), list(rosters)
    usable, faults = rules.compiled(email_lists, handlers)
    return Directory(
        sites={key_of(f"x@{site.domain}")[2:]: site for site in sites},
        people={person.user_id: person for person in people},
        usernames=_grouped((person.username.lower(), person) for person in people),
        accounts=_accounts(people),
        configured=_configured(sites, rosters),
        classes={roster.class_id: roster for roster in rosters},
        redirects=_grouped((redirect.original.strip().lower(), redirect) for redirect in redirects),
        suppressed=frozenset(suppressed),
        rules=usable,
        rule_faults=faults,
        rules_hash=rules.rules_hash(email_lists),
    )


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, tuple[Any, ...]]:
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _accounts(people: Iterable[PersonRow]) -> dict[str, PersonRow]:
    """The account that speaks for each address. A deactivated account speaks for none."""
    accounts: dict[str, PersonRow] = {}
    for person in sorted((person for person in people if person.active and person.email.strip()), key=_rank, reverse=True):
        accounts[key_of(person.email)] = person
    return accounts


def _rank(person: PersonRow) -> tuple[int, int, str]:
    roles = {role.lower() for role in person.roles}
    standing = next((place for place, role in enumerate(RANKS) if role in roles), len(RANKS))
    return standing, number_of(person.user_id) or 0, person.user_id


def _configured(sites: Iterable[SiteRow], rosters: Iterable[RosterRow]) -> frozenset[str]:
    """Addresses that may post without an account: the site's own, and the directors'."""
    own = [address for site in sites for address in (site.support, site.default)]
    return frozenset(key_of(address) for address in own + [roster.director_email for roster in rosters] if address.strip())
