"""The paces of this sender: one of its own, one for each recipient domain.

In memory: a restart forgets what a domain asked for, and the domain's next complaint says it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from streams.domain.pace import Pace, paced, reserve, slowed, sped_up

DOMAINS = 10_000


class Limiter:
    """`total` and `per_domain` are mails a second, 0 for no limit; `clock` gives monotonic seconds. One event loop."""

    def __init__(self, total: float, per_domain: float, clock: Callable[[], float]) -> None:
        self._total = paced(total)
        self._per_domain = per_domain
        self._clock = clock
        self._domains: OrderedDict[str, Pace] = OrderedDict()

    def wait_s(self, domain: str) -> float:
        """Takes the next slot for a mail to `domain`; returns how many seconds it is away."""
        now = self._clock()
        first, self._total = reserve(self._total, now)
        slot, pace = reserve(self._pace(domain), first)
        self._keep(domain, pace)
        return slot - now

    def complained(self, domain: str) -> None:
        """The domain asked for less."""
        self._keep(domain, slowed(self._pace(domain)))

    def accepted(self, domain: str) -> None:
        """The domain took a mail."""
        if domain in self._domains:
            self._keep(domain, sped_up(self._domains[domain]))

    def _pace(self, domain: str) -> Pace:
        return self._domains.get(domain) or paced(self._per_domain)

    def _keep(self, domain: str, pace: Pace) -> None:
        if not pace.rate:
            self._domains.pop(domain, None)  # nothing to remember
            return
        self._domains[domain] = pace
        self._domains.move_to_end(domain)
        if len(self._domains) > DOMAINS:
            self._domains.popitem(last=False)
