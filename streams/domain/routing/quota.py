"""How much mail one sender may send, and one address may get, before somebody looks at it: so that nobody can flood a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.domain.addresses import normalise
from streams.domain.routing.model import Addressee, Inbound, Kind
from streams.domain.routing.posting import Refusal, Sender

FLOOD = 10  # times the limit, and mail is not even held: what is held is held in memory
MAX_ASKED = 30  # notices to a site's moderators within an hour; what else is held waits for them to look
TOO_MANY = Refusal(Kind.HOLD, "too_many")
FLOODED = Refusal(Kind.DROP, "flood")  # it stays in the archive: `espmail inbound reroute` brings it back


@dataclass(frozen=True, slots=True)
class Quota:
    """Mails within an hour; 0 is no limit. `posted` says how many there were under a key within the hour before this mail."""

    per_sender: int
    per_address: int
    posted: Callable[[str], int]


def keys(mail: Inbound, sender: Sender, to: Addressee) -> tuple[str, str]:
    """What a mail is counted under: whom it is from, as far as that is known, and where it goes."""
    wrote = sender.mailbox.address if sender.mailbox else mail.mail_from
    return f"from {normalise(wrote)}", f"to {to.address}"


def asked_key(domain: str) -> str:
    """What notices to a site's moderators are counted under."""
    return f"asked {domain}"


def exceeded(quota: Quota, counted: tuple[str, str]) -> Refusal | None:
    """What becomes of a mail that comes after too many others, or none."""
    limits = zip(counted, (quota.per_sender, quota.per_address), strict=True)
    used = [(quota.posted(key), limit) for key, limit in limits if limit]
    if any(count >= limit * FLOOD for count, limit in used):
        return FLOODED
    return TOO_MANY if any(count >= limit for count, limit in used) else None
