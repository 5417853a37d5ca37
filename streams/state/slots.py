"""Slots that were taken for a request's mails, and given back when it was cancelled: others take these first.

Without them, whoever cancels a big request under a rate and hands in a better one would wait for the slots of the first to run out.
"""

from __future__ import annotations

import heapq
from array import array
from collections import defaultdict
from collections.abc import Callable

LOOK_S = 0.5  # how often the requests that hold slots are looked at


class Slots:
    """By whose pace they are (a domain's, or the sender's). In memory, eight bytes a slot. One event loop.

    `cancelled` says of a request whether its mails will not go.
    """

    def __init__(self, cancelled: Callable[[str], bool]) -> None:
        self._cancelled = cancelled
        self._held: dict[str, dict[str, array[float]]] = {}  # by request, then by pace
        self._free: dict[str, list[float]] = defaultdict(list)  # heaps
        self._look_at = float("-inf")

    def hold(self, request_id: str, whose: str, slot: float) -> None:
        """A mail of the request waits for this slot."""
        self._held.setdefault(request_id, {}).setdefault(whose, array("d")).append(slot)

    def given_back(self, whose: str, earliest: float) -> float | None:
        """The first free slot from `earliest` on, taken with this; none if there is none."""
        free = self._free.get(whose)
        while free:
            slot = heapq.heappop(free)
            if slot >= earliest:
                return slot
        self._free.pop(whose, None)
        return None

    def forget(self, whose: str) -> None:
        """The pace is another now: what came back of it fits no longer."""
        self._free.pop(whose, None)

    def look(self, now: float) -> None:
        """Take back the slots of cancelled requests, and forget those that are over. Costs something only now and then."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        for request_id in list(self._held):
            if self._cancelled(request_id):
                self._give_back(self._held.pop(request_id), now)
            elif all(slots[-1] < now for slots in self._held[request_id].values()):
                del self._held[request_id]

    def _give_back(self, held: dict[str, array[float]], now: float) -> None:
        for whose, slots in held.items():
            free = self._free[whose]
            free += [slot for slot in slots if slot > now]
            heapq.heapify(free)
