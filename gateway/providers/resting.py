"""A provider's only door: while it rests, nobody knocks."""

from __future__ import annotations

import asyncio
import time

from gateway.smtp_out import Spoken
from streams.domain.delivery import judge

FIRST_REST_S, LONGEST_REST_S = 1.0, 60.0


class Door:
    """Closed for a while, twice as long each time, when an answer was about the whole server and not about a mail."""

    def __init__(self) -> None:
        self._closed_until = 0.0
        self._rest_s = FIRST_REST_S
        self._last: Spoken | None = None

    async def open(self, patience_s: float) -> Spoken | None:
        """Waits for the door, at most `patience_s`; then returns what was said when it closed."""
        rest = self._closed_until - time.monotonic()
        if rest > patience_s:
            await asyncio.sleep(patience_s)
            return self._last
        await asyncio.sleep(max(0.0, rest))
        return None

    def heard(self, spoken: Spoken) -> Spoken:
        """Takes note of an answer, and passes it on."""
        if judge(spoken.phase, spoken.answer).rests_server:
            self._last = spoken
            if self._closed_until <= time.monotonic():  # calls that were under way together are told the same: it counts once
                self._closed_until = time.monotonic() + self._rest_s
                self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)
        else:
            self._rest_s = FIRST_REST_S
        return spoken
