"""When soft bounces add up to an address that gets no more mail: so many days with one, within so many weeks. Pure.

    speaks_of_address(bounce) -> bool                  whether one counts at all
    counted(row, bounce, policy) -> SoftBounces        after it
    forgotten(row, address_hash, at) -> SoftBounces    after somebody there asked for mail
    merged(one, other, policy) -> SoftBounces | None   of two rows that each know some of them
    worn_out(row, policy) -> bool

A day counts once, however many mails bounced on it (as in Mailman's bounce score), so one bad day of a server is one. That an
MTA took a later mail proves nothing, for it takes those first that bounce; time without a bounce does (docs/decisions/0013).
The rows are the same for any order of the events and any number of repeats.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from streams.domain.bounce_kind import reply_of
from streams.events import EmailBounced, SoftBounces

# Beginnings of RFC 3463 codes that speak of the mail, of us, or of our standing there, never of the mailbox.
NOT_THE_ADDRESS = ("2.3", "3.4", "5", "6", "7")  # behind the first digit: too big, too big, protocol, content, policy


@dataclass(frozen=True, slots=True)
class SoftPolicy:
    """`days` with a bounce, 0 for never, within a span of `within` days."""

    days: int
    within: int


def speaks_of_address(bounce: EmailBounced) -> bool:
    """False where the report says that something else was wrong: a blocked sender would else silence everybody it writes to."""
    reply = reply_of(bounce.diagnostic)
    status = bounce.status or (reply.enhanced if reply else "")
    detail = status.partition(".")[2]
    return not any(f"{detail}.".startswith(f"{code}.") for code in NOT_THE_ADDRESS)


def counted(row: SoftBounces | None, bounce: EmailBounced, policy: SoftPolicy) -> SoftBounces:
    """The address's row after a soft bounce."""
    held = row or SoftBounces(bounce.address_hash, None, [])
    return SoftBounces(held.address_hash, held.since, _recent([*held.at, bounce.at], held.since, policy))


def merged(one: SoftBounces | None, other: SoftBounces | None, policy: SoftPolicy) -> SoftBounces | None:
    """What two rows of one address come to, either of which may be none."""
    if one is None or other is None or one == other:
        return one or other
    since = max((row.since for row in (one, other) if row.since), default=None)
    return SoftBounces(one.address_hash, since, _recent([*one.at, *other.at], since, policy))


def forgotten(row: SoftBounces | None, address_hash: str, at: datetime) -> SoftBounces:
    """The row after somebody who gets mail there asked for more: nothing up to then counts any longer."""
    since = max(at, row.since) if row and row.since else at
    return SoftBounces(address_hash, since, [instant for instant in (row.at if row else []) if instant > since])


def worn_out(row: SoftBounces, policy: SoftPolicy) -> bool:
    """Whether the address gets no more mail."""
    return 0 < policy.days <= len(row.at)


def _recent(instants: Iterable[datetime], since: datetime | None, policy: SoftPolicy) -> list[datetime]:
    """The last instant of each day that still counts, oldest first; no more of them than ever matter."""
    days: dict[date, datetime] = {}
    for instant in sorted(instants):
        if since is None or instant > since:
            days[instant.date()] = instant
    newest = max(days, default=date.min)
    return [instant for day, instant in days.items() if newest - day < timedelta(days=policy.within)][-max(policy.days, 1) :]
