"""Room in memory for big messages: a window of small mails is nothing, one of mails with 20 MB of files would be gigabytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.events import EmailQueued, Relayed

MOST = 128_000_000
SMALL = 256_000  # bytes that nobody counts
AS_SENT = 1.4  # Base64 and its line ends


class Room:
    """`most` bytes of big messages at once. One an event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._free = most
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def for_bytes(self, size: int) -> AsyncIterator[None]:
        """Waits until there is room for so many; one that is larger than everything gets all of it. Small ones never wait."""
        taken = min(size, self._most)
        if size <= SMALL:
            yield
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= taken)
            self._free -= taken
        try:
            yield
        finally:
            async with self._changed:
                self._free += taken
                self._changed.notify_all()


def size_of(email: EmailQueued) -> int:
    """About how many bytes its message will have; of one that stands in its record whole, nothing that matters."""
    content = email.content
    if isinstance(content, Relayed):
        return content.claim.size if content.claim else 0
    return int(AS_SENT * sum(file.body.size for file in content.attachments)) + len(content.text) + len(content.html or "")
