"""How many emails may be between their attempt's record and their outcome's: that many are doubts if the process dies now."""

from __future__ import annotations

import asyncio


class Begun:
    """At most `most` emails at once, by their ids. Lives in one event loop."""

    def __init__(self, most: int) -> None:
        self._places = asyncio.Semaphore(most)
        self._ids: set[str] = set()

    async def begin(self, email_id: str) -> None:
        """Waits for a place, unless the email has one."""
        if email_id not in self._ids:
            await self._places.acquire()
            self._ids.add(email_id)

    def end(self, email_id: str) -> None:
        """Its outcome is durable, or it was not begun. May be repeated."""
        if email_id in self._ids:
            self._ids.discard(email_id)
            self._places.release()
