"""How fast mail may go to one recipient domain, or out of one sender: slots in time, slower after a complaint, faster after successes.

A mail takes the next free slot (the generic cell rate algorithm, one number of state). What waits long waits on the delay wheel
with its slot already taken, so a backlog is spread once, not looked at again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_SLOW = 5.0  # mails a second to a domain that complains while it is unlimited
SLOWEST = 1 / 60
SLOWER, FASTER = 0.5, 1.02  # a complaint costs what some 35 accepted mails earn back
FAST_ENOUGH = 50.0  # beyond this the domain counts as content: unlimited again, or as the settings say


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate` mails a second (0: unlimited), `limit` the highest that the settings allow (0: any); `free_at`: the next slot, seconds."""

    limit: float = 0.0
    rate: float = 0.0
    free_at: float = 0.0


def paced(limit: float) -> Pace:
    """Where a domain starts."""
    return Pace(limit=limit, rate=limit)


def reserve(pace: Pace, now: float) -> tuple[float, Pace]:
    """The slot of the next mail (never before `now`), and the pace after it is taken."""
    if not pace.rate:
        return now, pace
    slot = max(now, pace.free_at)
    return slot, replace(pace, free_at=slot + 1 / pace.rate)


def slowed(pace: Pace) -> Pace:
    """After the domain asked for less (421, 4.7.x)."""
    return replace(pace, rate=max(SLOWEST, (pace.rate or FIRST_SLOW / SLOWER) * SLOWER))


def sped_up(pace: Pace) -> Pace:
    """After an accepted mail."""
    if pace.rate == pace.limit:
        return pace
    rate = pace.rate * FASTER
    if (pace.limit and rate >= pace.limit) or (not pace.limit and rate >= FAST_ENOUGH):
        return replace(pace, rate=pace.limit)
    return replace(pace, rate=rate)
