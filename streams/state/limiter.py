"""The paces of this sender: one of its own, one for each recipient domain.

In memory: a restart forgets what a domain asked for, and the domain's next complaint says it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from streams.domain.pace import Pace, paced, reserve, slowed, sped_up
from streams.state.slots import Slots

DOMAINS = 10_000
SENDER = ""  # whose pace the total is


class Limiter:
    """`total` and `per_domain` are mails a second, 0 for no limit; `clock` gives monotonic seconds. One event loop.

    `cancelled` says of a request whether its mails will not go: others get their slots.
    """

    def __init__(
        self, total: float, per_domain: float, clock: Callable[[], float], cancelled: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._total = paced(total)
        self._slots = Slots(cancelled)
        self._per_domain = per_domain
        self._clock = clock
        self._domains: OrderedDict[str, Pace] = OrderedDict()

    def wait_s(self, domain: str, request_id: str | None = None) -> float:
        """Takes the next slot for a mail to `domain`; returns how many seconds it is away."""
        now = self._clock()
        self._slots.look(now)
        first = self._slot(SENDER, now, now, request_id)
        return self._slot(domain, first, now, request_id) - now

    def _slot(self, whose: str, earliest: float, now: float, request_id: str | None) -> float:
        pace = self._total if whose == SENDER else self._pace(whose)
        if not pace.rate:
            return earliest
        slot = self._slots.given_back(whose, earliest)
        if slot is None:
            slot, pace = reserve(pace, earliest)
            self._keep(whose, pace)
        if slot > now and request_id:
            self._slots.hold(request_id, whose, slot)
        return slot

    def complained(self, domain: str) -> None:
        """The domain asked for less."""
        self._slots.forget(domain)
        self._keep(domain, slowed(self._pace(domain)))

    def accepted(self, domain: str) -> None:
        """The domain took a mail."""
        if domain in self._domains:
            self._keep(domain, sped_up(self._domains[domain]))

    def _pace(self, domain: str) -> Pace:
        return self._domains.get(domain) or paced(self._per_domain)

    def _keep(self, domain: str, pace: Pace) -> None:
        if domain == SENDER:
            self._total = pace
            return
        if not pace.rate:
            self._domains.pop(domain, None)  # nothing to remember
            return
        self._domains[domain] = pace
        self._domains.move_to_end(domain)
        if len(self._domains) > DOMAINS:
            self._domains.popitem(last=False)
