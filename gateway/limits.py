"""How much clients may take of the gateway: the numbers, and the counts of who is inside and of what is in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from streams import metrics


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times seconds. The defaults are the field's; each is far above what mail needs."""

    mail: int = 26_214_400
    line: int = 998  # without its CRLF (RFC 5321, 4.5.3.1.6; RFC 5322, 2.1.1): Exim would refuse a longer one on its way out
    header: int = 102_400  # Postfix's header_size_limit; ours is for all fields together
    recipients: int = 100  # the least that RFC 5321, 4.5.3.1.8 allows; clients come again with the rest
    errors: int = 20  # Postfix's smtpd_hard_error_limit
    chatter: int = 100  # commands that carry no mail, each: NOOP, VRFY and their like
    memory: int = 268_435_456  # of all big mails that are being read or stored; the small ones' is bounded by `connections`
    small: int = 65_536  # the first bytes of each mail, which nobody counts: a flood of big mails leaves the small ones alone
    connections: int = 500
    connections_per_client: int = 100
    idle_s: float = 300.0  # RFC 5321, 4.5.3.2.7; for a whole DATA as well
    drain_s: float = 35.0  # what is under way may take so long once we are told to stop; a publish takes at most 30


class Doors:
    """Counts who is inside. A client without an address (a unix socket's) counts only in the total."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._inside: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """True if the client may come in; then it must leave() once."""
        full = self._inside.total() >= self._limits.connections
        crowded = client != "" and self._inside[client] >= self._limits.connections_per_client
        if full or crowded:
            return False
        self._inside[client] += 1
        return True

    def leave(self, client: str) -> None:
        self._inside[client] -= 1
        if not self._inside[client]:
            del self._inside[client]


class Memory:
    """Counts the bytes of big mails in memory, and says when there are too many."""

    def __init__(self, limits: Limits) -> None:
        self.free = limits.memory
        self._small = limits.small

    def hold(self) -> Held:
        """For one mail; whoever takes it releases it."""
        return Held(self, self._small)

    def take(self, size: int) -> bool:
        """True if there was room for so many more; a negative size gives back and is always granted."""
        if size > self.free:
            return False
        self.free -= size
        metrics.GATEWAY_HELD.inc(size)
        return True


@dataclass(slots=True)
class Held:
    """What one mail holds of the memory: all beyond its `small` first bytes."""

    memory: Memory
    small: int
    size: int = 0

    def grow(self, size: int) -> bool:
        """True if a mail of `size` bytes so far has room. If not, it holds nothing any more, and must be dropped."""
        wanted = max(0, size - self.small)
        if wanted == self.size:
            return True
        granted = self.memory.take(wanted - self.size)
        if granted:
            self.size = wanted
        else:
            self.release()
        return granted

    def release(self) -> None:
        """May be repeated."""
        self.memory.take(-self.size)
        self.size = 0
