"""The mail behind DATA, read in pieces (RFC 5321, 4.1.1.4 and 4.5.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PIECE = 65_536  # the stream's buffer must hold as much
LINE_END = b"\r\n"
END = b"\r\n.\r\n"
LINE_OF_A_DOT = END[2:]


class NoRoom(Exception):
    """The mail was read and dropped, for want of memory: it may come again."""


def expect_mail(reader: asyncio.StreamReader) -> None:
    """Call when nothing is left to be read, before the client is told to send: so the end of an empty mail looks like any other."""
    reader.feed_data(LINE_END)


async def read_mail(reader: asyncio.StreamReader, limit: int, has_room: Callable[[int], bool] = lambda _size: True) -> bytes | None:
    """The mail, its dots of transparency taken off; none if it is of more than `limit` bytes, and then it was read and dropped.

    `has_room` is asked as the mail grows, with its size so far; if it once says no, the rest is read and dropped and NoRoom
    raised. Leaves unread what follows the final dot. Only CRLF is a line end: nothing else ends the mail (CVE-2024-27305).
    """
    data, size, kept = bytearray(), -len(LINE_END), True
    while not data.endswith(END):
        piece = await _read_piece(reader)
        data += piece
        size += len(piece)
        kept = kept and size <= limit + len(LINE_OF_A_DOT) and has_room(size)
        if not kept:
            del data[: -len(END)]
    if size > limit + len(LINE_OF_A_DOT):
        return None
    if not kept:
        raise NoRoom
    del data[-len(LINE_OF_A_DOT) :]
    del data[: len(LINE_END) + data.startswith(LINE_END + b".")]
    return bytes(data).replace(b"\r\n.", b"\r\n")


async def _read_piece(reader: asyncio.StreamReader) -> bytes:
    """Up to the end, or a buffer full."""
    try:
        return await reader.readuntil(END)
    except asyncio.LimitOverrunError as overrun:
        return await reader.readexactly(overrun.consumed)
