"""An SMTP server that does to each mail what the test scripted: takes it, refuses it at any phase, hangs, lies, hangs up.

It runs in a thread of its own. What is not scripted is taken. A mail counts as taken when its final dot came, unless the
scripted answer to the dot is a refusal: whatever happens to the reply, such a mail is out of the sender's hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.services.ports import HOST

PIPELINING = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 52428800")
DOT = b"\r\n.\r\n"
ADDRESS = re.compile(rb"<(.*)>")


@dataclass(frozen=True)
class At:
    """What to do at a phase (MAIL, RCPT, DATA, BODY, DOT) of a transaction instead of going on.

    `say`: these bytes, and hang up unless they end a line; b"" hangs up without a word. `gate`: wait until it is set, then go on.
    """

    phase: str
    say: bytes = b""
    gate: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)


@dataclass
class Sink:
    """What it took and what it was told; `script` before the mail comes. `tls`: STARTTLS is answered, with this certificate."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    banner: bytes = b"220 sink ESMTP\r\n"
    extensions: Sequence[str] = PIPELINING
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    _scripts: dict[str, deque[At]] = field(default_factory=lambda: defaultdict(deque))

    def script(self, recipient: str, *acts: At) -> None:
        """One act a transaction with this recipient, in order; then its mails are taken."""
        self._scripts[recipient].extend(acts)

    def copies(self, recipient: str) -> list[bytes]:
        """The mails taken for a recipient, as they came behind DATA, dots unstuffed."""
        return [message for one, message in self.taken if one == recipient]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, ssl.SSLError, ValueError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await _Conversation(self, reader, writer).run()
        finally:
            writer.close()


class _HangUp(ConnectionError):
    pass


@dataclass
class _Conversation:
    sink: Sink
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    recipient: str = ""
    act: At | None = None

    async def run(self) -> None:
        self.writer.write(self.sink.banner)
        while line := await self.reader.readline():
            self.sink.commands.append(line.rstrip(b"\r\n"))
            await self._obey(line[:4].upper(), line)

    async def _obey(self, verb: bytes, line: bytes) -> None:
        if verb == b"EHLO":
            lines = ["sink", *self.sink.extensions]
            self._say("".join(f"250{' ' if one is lines[-1] else '-'}{one}\r\n" for one in lines).encode())
        elif verb == b"RCPT":
            found = ADDRESS.search(line)
            self.recipient = found[1].decode() if found else ""
            script = self.sink._scripts[self.recipient]
            self.act = script.popleft() if script else None
            await self._at("RCPT", b"250 2.1.5 ok\r\n")
        elif verb == b"DATA":
            if await self._at("DATA", b"354 go on\r\n"):
                await self._take()
        elif verb == b"STAR" and self.sink.tls is not None:
            self._say(b"220 2.0.0 go on\r\n")
            await self.writer.start_tls(self.sink.tls)
        elif verb == b"QUIT":
            self._say(b"221 bye\r\n")
            raise _HangUp
        else:
            self._say(b"250 2.0.0 ok\r\n")

    async def _take(self) -> None:
        if self.act and self.act.phase == "BODY":
            await self.reader.readexactly(1)
            await self._at("BODY", b"")
        message = b"\r\n" + await self.reader.readuntil(DOT)
        if not (self.act and self.act.phase == "DOT" and self.act.say[:1] in (b"4", b"5")):
            self.sink.taken.append((self.recipient, message[2 : -len(DOT) + 2].replace(b"\r\n..", b"\r\n.")))
        await self._at("DOT", b"250 2.0.0 taken\r\n")
        self.act = None

    async def _at(self, phase: str, usual: bytes) -> bool:
        """True if the conversation goes on as usual."""
        act = self.act
        if act is None or act.phase != phase:
            self._say(usual)
            return True
        act.reached.set()
        if act.gate is not None:
            while not act.gate.is_set():  # noqa: ASYNC110 - the test sets it from another thread
                await asyncio.sleep(0.01)
            self._say(usual)
            return True
        self._say(act.say)
        if not act.say.endswith(b"\n"):
            await self.writer.drain()
            raise _HangUp
        return False

    def _say(self, data: bytes) -> None:
        self.writer.write(data)


@contextlib.contextmanager
def running_sink(sink: Sink | None = None) -> Iterator[Sink]:
    """A sink on a free port of loopback (or on its own, if it has been given one) until the `with` ends."""
    sink = sink or Sink()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_start(sink), loop).result(10)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(sink: Sink) -> asyncio.Server:
    return await asyncio.start_server(sink.serve, HOST, sink.port, limit=2**24)


async def _stop(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # transports close in the turn after
