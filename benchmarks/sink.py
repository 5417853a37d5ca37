"""An SMTP server that takes everything and keeps nothing: `python -m benchmarks.sink PORT` until SIGTERM.

It offers PIPELINING and answers at once, so that what is measured is the sender. The VRFY command is answered with how many
mails it took, when the first came and when the last (Unix seconds).
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import cast

import uvloop

HOST = "127.0.0.1"
END = b"\r\n.\r\n"
EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 52428800\r\n"
REPLIES = {b"EHLO": EHLO, b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


@dataclass(slots=True)
class Taken:
    """What all connections took together."""

    mails: int = 0
    first: float = 0.0
    last: float = 0.0

    def one_more(self) -> None:
        self.last = time.time()
        self.first = self.first or self.last
        self.mails += 1

    def __str__(self) -> str:
        return f"{self.mails} {self.first:.6f} {self.last:.6f}"


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (self._in_data and self._end_mail()) or (not self._in_data and self._command()):
            pass

    def _end_mail(self) -> bool:
        end = self._buffer.find(END)
        if end < 0:
            return False
        self._buffer = self._buffer[end + len(END) :]
        self._in_data = False
        self._taken.one_more()
        self._transport.write(b"250 2.0.0 taken\r\n")
        return True

    def _command(self) -> bool:
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return False
        self._buffer = rest
        verb = line[:4].upper()
        self._in_data = verb == b"DATA"
        self._transport.write(b"252 %s\r\n" % str(self._taken).encode() if verb == b"VRFY" else REPLIES.get(verb, b"250 2.0.0 ok\r\n"))
        return True


async def serve(port: int) -> None:
    taken = Taken()
    server = await asyncio.get_running_loop().create_server(lambda: Session(taken), HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(serve(int(sys.argv[1])))
