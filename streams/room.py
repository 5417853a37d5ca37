"""Room in memory for big messages: a window of small mails is nothing, one of mails with 20 MB of files would be gigabytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.events import EmailQueued, Relayed

MOST = 128_000_000
SMALL = 256_000  # bytes that nobody counts
AS_SENT = 1.4  # Base64 and its line ends


class Taken:
    """Room that somebody has until he leaves."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room | None, size: int) -> None:
        self._room = room
        self._size = size

    def leave(self) -> None:
        """May be repeated."""
        room, self._room = self._room, None
        if room is not None:
            room.give_back(self._size)


NOTHING = Taken(None, 0)


class Room:
    """`most` bytes of big messages at once. One an event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._free = most
        self._given_back = asyncio.Event()

    async def take(self, size: int) -> Taken:
        """Waits until there is room for so many; one that is larger than everything gets all of it. Small ones never wait."""
        if size <= SMALL:
            return NOTHING
        taken = min(size, self._most)
        while self._free < taken:
            self._given_back.clear()
            await self._given_back.wait()
        self._free -= taken
        return Taken(self, taken)

    def give_back(self, taken: int) -> None:
        self._free += taken
        self._given_back.set()

    @asynccontextmanager
    async def for_bytes(self, size: int) -> AsyncIterator[None]:
        """Room for so many until the `with` ends."""
        taken = await self.take(size)
        try:
            yield
        finally:
            taken.leave()


def size_of(email: EmailQueued) -> int:
    """About how many bytes its message will have; of one that stands in its record whole, nothing that matters."""
    content = email.content
    if isinstance(content, Relayed):
        return content.claim.size if content.claim else 0
    return int(AS_SENT * sum(file.body.size for file in content.attachments)) + len(content.text) + len(content.html or "")
