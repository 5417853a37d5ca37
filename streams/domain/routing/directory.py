"""Who there is: sites, accounts, classes, aliases and rules, indexed for routing. One frozen value per state of the tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from streams.domain.addresses import DOT_ATOM, address_hash, normalise
from streams.domain.routing.model import Addressee
from streams.domain.routing.rules import Rule
from streams.events import PersonRow, RedirectRow, RosterRow, SiteRow

EVERY_PURPOSE = "*"
UNENCODABLE = re.compile(r"[\ud800-\udfff]")  # bytes that were no UTF-8: nothing can be written to such an address


@dataclass(frozen=True, slots=True)
class Directory:
    """Built by index.directory_of; the mappings are not to be changed. Keys are lower case (`normalise` for addresses)."""

    sites: Mapping[str, SiteRow]
    people: Mapping[str, PersonRow]
    usernames: Mapping[str, tuple[PersonRow, ...]]
    accounts: Mapping[str, PersonRow]
    configured: frozenset[str]
    classes: Mapping[int, RosterRow]
    redirects: Mapping[str, tuple[RedirectRow, ...]]
    suppressed: frozenset[tuple[str, str]]
    rules: tuple[Rule, ...]
    rule_faults: tuple[str, ...]
    rules_hash: str

    def addressee(self, address: str) -> Addressee | None:
        """The site address that `address` means, +tag and case taken off; none if it is no plain address of a site here.

        Percent, bang and quoted forms that name a second address are none: nothing is relayed (reliability.md, row I-14).
        """
        local, _, domain = address.strip().removeprefix("<").removesuffix(">").rpartition("@")
        if len(local) > 1 and local.startswith('"') and local.endswith('"'):
            local = local[1:-1]
        site = normalise(f"x@{domain}")[2:]
        if UNENCODABLE.search(local):
            return None
        if site not in self.sites or not DOT_ATOM.fullmatch(local) or "%" in local or "!" in local:
            return None
        name = local.lower().partition("+")[0]
        return Addressee(name, site) if name else None

    def account_of(self, address: str) -> PersonRow | None:
        """The active account that speaks for this normalised address: by its own, or by its alias at a site here.

        Copies of list mail come from the sender's alias, and some come back in: where a director's address is a redirect to an account.
        """
        account = self.accounts.get(address)
        local, _, domain = address.rpartition("@")
        if account is not None or domain not in self.sites:
            return account
        people = self.usernames.get(local.partition("+")[0], ())
        return people[0] if len(people) == 1 and people[0].active else None

    def is_suppressed(self, address: str, purpose: str) -> bool:
        """True if this address asked for, or earned, no mail of this purpose."""
        if not self.suppressed:
            return False
        digest = address_hash(address)
        return (digest, EVERY_PURPOSE) in self.suppressed or (digest, purpose) in self.suppressed
