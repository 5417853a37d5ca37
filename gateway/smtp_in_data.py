"""The mail behind DATA, from pieces of any size (RFC 5321, 4.1.1.4 and 4.5.2)."""

from __future__ import annotations

from collections.abc import Callable

LINE_END = b"\r\n"
END = b"\r\n.\r\n"
LINE_OF_A_DOT = END[2:]


class NoRoom(Exception):
    """The mail was read and dropped, for want of memory: it may come again."""


class MailReader:
    """Feed it what comes until it says that the mail is whole; then ask for the content.

    `has_room` is asked as the mail grows, with its size so far; once it says no, or the mail is of more than `limit` bytes,
    all of it is dropped, of which `has_room` is told by a size of 0, and the rest is read and dropped.
    Only CRLF is a line end: nothing else ends the mail (CVE-2024-27305).
    """

    __slots__ = ("_data", "_has_room", "_kept", "_limit", "_size")

    def __init__(self, limit: int, has_room: Callable[[int], bool] = lambda _size: True) -> None:
        self._limit = limit
        self._has_room = has_room
        self._data = bytearray(LINE_END)  # so the end of an empty mail looks like any other
        self._size = 0
        self._kept = True

    def feed(self, piece: bytes) -> bytes | None:
        """What follows the end of the mail and is not its own; none while the end has not come."""
        data = self._data
        unseen = max(0, len(data) - len(END) + 1)
        data += piece
        found = data.find(END, unseen)
        rest = None if found < 0 else bytes(data[found + len(END) :])
        self._size += len(piece) - len(rest or b"")
        self._kept = self._kept and self._size <= self._limit + len(LINE_OF_A_DOT) and self._has_room(self._size)
        if rest is not None:
            del data[found + len(LINE_END) :]
        elif not self._kept:
            del data[: -len(END)]
        if not self._kept:
            self._has_room(0)
        return rest

    def content(self) -> bytes | None:
        """The mail, its dots of transparency taken off; none if it is of more than `limit` bytes. Raises NoRoom.

        Ask once, when it is whole: the reader keeps nothing, for it lives until the mail is stored.
        """
        if self._size > self._limit + len(LINE_OF_A_DOT):
            return None
        if not self._kept:
            raise NoRoom
        data, self._data = self._data, bytearray()
        return bytes(data).replace(b"\r\n.", b"\r\n")[len(LINE_END) :]
