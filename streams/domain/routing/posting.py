"""Who may post: the sender as far as it is known, and each list's policy (spec 8, rows 39 and 40; architecture.md, section 9.15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.domain.addresses import Mailbox, normalise
from streams.domain.routing.authentication import Results, authenticated
from streams.domain.routing.author import Unclear, author
from streams.domain.routing.directory import Directory
from streams.domain.routing.fields import Head
from streams.domain.routing.model import Kind, Member
from streams.events import PersonRow

STAFF = frozenset({"teacher", "administrator"})


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a mail is from. `mailbox` is none where the From header names nobody or several (`unclear` says which).

    `authentic` is what the MTA found out about that claim; none where it did not say.
    """

    mailbox: Mailbox | None
    unclear: str = ""
    account: PersonRow | None = None
    configured: bool = False
    authentic: bool | None = None

    @property
    def known(self) -> bool:
        return self.account is not None or self.configured

    @property
    def is_staff(self) -> bool:
        return self.configured or (self.account is not None and is_staff(self.account))

    def is_among(self, members: tuple[Member, ...]) -> bool:
        """True if one of the members is this sender, by account or by address."""
        key = normalise(self.mailbox.address) if self.mailbox else ""
        return any((self.account and member.user_id == self.account.user_id) or member.key == key for member in members)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a mail may not go to a list now, and what becomes of it. `director`: who decides, if it is held; blank: the site's support."""

    kind: Kind
    reason: str
    director: str = ""


STRANGER = Refusal(Kind.DROP, "stranger")
HELD_STRANGER = Refusal(Kind.HOLD, "stranger")
NOT_ALLOWED = Refusal(Kind.NOTICE, "may_not_post")
FORGED = Refusal(Kind.HOLD, "sender_not_authenticated")

# Policy: who passes, and what becomes of a stranger's mail. A known sender who does not pass is told.
POLICIES: dict[str, tuple[Callable[[Sender, tuple[Member, ...]], bool], Refusal]] = {
    "accounts": (lambda sender, members: sender.known, STRANGER),
    "hold": (lambda sender, members: sender.known, HELD_STRANGER),
    "staff": (lambda sender, members: sender.is_staff, STRANGER),
    "members": (lambda sender, members: sender.is_staff or sender.is_among(members), STRANGER),
}


def is_staff(person: PersonRow) -> bool:
    """Teachers and administrators: their aliases are open, and they reach everyone's."""
    return any(role.lower() in STAFF for role in person.roles)


def sender_of(head: Head, results: Results | None, directory: Directory) -> Sender:
    """The sender as the From header says, looked up among accounts and configured addresses; `results` vouch for it or do not."""
    found = author(head)
    if isinstance(found, Unclear):
        return Sender(None, found.reason)
    key = normalise(found.address)
    return Sender(found, "", directory.account_of(key), key in directory.configured, authenticated(results, key))


def refusal(policy: str, sender: Sender, members: tuple[Member, ...], *, trusted_list: bool) -> Refusal | None:
    """None if the sender may post to these members; else what becomes of the mail. "anyone" needs no authentication."""
    if sender.mailbox is None:
        return Refusal(Kind.HOLD, sender.unclear)
    if trusted_list or policy == "anyone":
        return None
    passes, for_strangers = POLICIES[policy]
    if not passes(sender, members):
        return NOT_ALLOWED if sender.known else for_strangers
    return FORGED if sender.authentic is False else None
