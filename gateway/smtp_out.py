"""One mail to one recipient over an open SMTP connection, and how far it came.

aiosmtplib opens the connection (EHLO, STARTTLS, AUTH) in gateway/smtp_pool.py; then this protocol takes the transport over,
for it sends a transaction's commands in one write where the server offers PIPELINING (RFC 2920) and always
knows the phase: what fails before the final dot is safe to offer again, what fails after it is in doubt (RFC 1047).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.domain.delivery import Fault, Phase, Reply

MAX_REPLY_BYTES = 32_768  # RFC 5321 allows 512 a line; beyond this the server is hostile or broken
DOT = b".\r\n"
DOT_APART = 65_536  # what fits in a write goes with its dot: one packet less a mail
LEADING_DOT = re.compile(rb"(?m)^\.")
COMMAND_UNSAFE = re.compile(rb"[\x00-\x20\x7f<>]")


class Withheld(RuntimeError):
    """The mail may not be offered (any more); the server was not given its final dot, and forgets it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a transaction is from ('' is the null sender) and the one address that it is to."""

    sender: str
    recipient: str
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Spoken:
    """The last phase of a transaction and its answer: a Reply of DOT with 2xx means that the server took the mail."""

    phase: Phase
    answer: Reply | Fault


class SmtpWire(asyncio.Protocol):
    """Replies in the order in which they arrive. Takes over an idle, greeted connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self.fault: Fault | None = None

    def data_received(self, data: bytes) -> None:
        if self.fault is not None:
            return None  # behind it nobody knows which answer belongs to which command
        self._buffer += data
        if len(self._buffer) > MAX_REPLY_BYTES:
            return self._end(Fault("protocol", "a reply without end"))
        sane = True
        while sane and (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            sane = self._take_line(line)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Fault("disconnected", str(exc or "the server closed the connection")))

    async def reply(self, timeout_s: float) -> Reply | Fault:
        """The next reply, or what stands in its place. Never raises but for cancellation."""
        while not self._replies:
            if self.fault is not None:
                return self.fault
            await self._news(timeout_s, "no reply", timeout_s)
        return self._replies.popleft()

    async def written(self, transport: asyncio.Transport, timeout_s: float) -> Fault | None:
        """Returns when the system has taken everything from `transport`, or why it will not; an early reply ends the wait, too."""
        transport.set_write_buffer_limits(high=0)
        until = self._loop.time() + timeout_s
        try:
            while transport.get_write_buffer_size() and not self._replies and self.fault is None:
                await self._news(timeout_s, "the server does not read on", until - self._loop.time())
        finally:
            transport.set_write_buffer_limits()
        return self.fault

    async def _news(self, patience_s: float, missing: str, wait_s: float) -> None:
        """Returns when something came, or the wait made a fault. A bare timer: asyncio.timeout costs three times as much."""
        self._waiter = self._loop.create_future()
        late = self._loop.call_later(wait_s, self._late, patience_s, missing)
        try:
            await self._waiter
        finally:
            late.cancel()

    def _late(self, patience_s: float, missing: str) -> None:
        self._end(Fault("timeout", f"{missing} within {patience_s:g} s"))

    def pause_writing(self) -> None:
        """Called by the transport; `written` asks it instead."""

    def resume_writing(self) -> None:
        self._wake()

    @property
    def idle(self) -> bool:
        """Nothing is owed and nothing unasked came; else the connection cannot be trusted any more."""
        return self.fault is None and not (self._replies or self._buffer or self._lines)

    def _take_line(self, line: bytes) -> bool:
        """False if it is no line of a reply."""
        self._lines.append(line)
        if line[3:4] == b"-" and len(self._lines) < 100:
            return True
        lines, self._lines = self._lines, []
        code = lines[-1][:3]
        if not code.isdigit() or line[3:4] not in (b" ", b""):
            self._end(Fault("protocol", f"not an SMTP reply: {lines[-1][:80].decode('utf-8', 'replace')}"))
            return False
        self._replies.append(Reply(int(code), "\n".join(one[4:].decode("utf-8", "replace") for one in lines)))
        self._wake()
        return True

    def _end(self, fault: Fault) -> None:
        self.fault = self.fault or fault
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def transact(
    wire: SmtpWire,
    transport: asyncio.Transport,
    extensions: Mapping[str, str],
    envelope: Envelope,
    message: bytes,
    timeout_s: float,
    may_finish: Callable[[], bool],
) -> Spoken:
    """Offer one mail. `message` has CRLF line ends; `extensions` are the EHLO keywords in capitals with their parameters.

    `may_finish` is asked before anything of the message is written, for a server that hesitates may outlive a lease, and again before
    the final dot where that goes alone. Raises Withheld if it says no; then the caller closes. After anything but a Reply, or a Reply before DATA, the caller
    closes or resets.
    """
    try:
        commands = _commands(envelope, extensions, message)
    except ValueError as error:
        return Spoken(Phase.RCPT, Reply(554, f"5.6.0 not offered: {error}"))  # not the code of a dead address
    if _too_big(extensions, message):
        return Spoken(Phase.MAIL, Reply(552, f"5.3.4 not offered: {len(message)} bytes, the server takes {extensions['SIZE']}"))
    if envelope.smtputf8 and "SMTPUTF8" not in extensions:
        return Spoken(Phase.MAIL, Reply(550, "5.6.7 not offered: the address needs SMTPUTF8, which the server does not have"))
    if "PIPELINING" in extensions:
        refused = await _in_one_write(wire, transport, commands, timeout_s)
    else:
        refused = await _one_by_one(wire, transport, commands, timeout_s)
    if refused is not None:
        return refused
    if not wire.idle:
        return Spoken(Phase.BODY, wire.fault or Fault("protocol", "an answer that nothing asked for"))
    if not may_finish():
        raise Withheld
    return await _write_out(wire, transport, dot_stuffed(message), timeout_s, may_finish)


async def _write_out(
    wire: SmtpWire, transport: asyncio.Transport, stuffed: bytes, timeout_s: float, may_finish: Callable[[], bool]
) -> Spoken:
    """The message and its final dot. Of a long one the dot goes last, alone: what fails before it is no doubt. Raises Withheld."""
    if len(stuffed) > DOT_APART:
        transport.write(stuffed[: -len(DOT)])
        fault = await wire.written(transport, 10 * timeout_s)
        if fault is not None:
            return Spoken(Phase.BODY, fault)
        if not may_finish():
            raise Withheld
        stuffed = stuffed[-len(DOT) :]
    transport.write(stuffed)
    # Ten times the patience: giving up on a server that is just writing its queue file makes a double (RFC 5321, 4.5.3.2.6).
    return Spoken(Phase.DOT, await wire.reply(10 * timeout_s))


def dot_stuffed(message: bytes) -> bytes:
    """The message as DATA carries it, final dot included (RFC 5321, section 4.5.2)."""
    stuffed = LEADING_DOT.sub(b"..", message) if b"\n." in message or message[:1] == b"." else message
    return stuffed + (DOT if stuffed.endswith(b"\r\n") else b"\r\n" + DOT)


def _too_big(extensions: Mapping[str, str], message: bytes) -> bool:
    """True if the server said that it takes less (RFC 1870; no number or 0 is no limit)."""
    limit = extensions.get("SIZE", "")
    return limit.isdecimal() and 0 < int(limit) < len(message)


def _commands(envelope: Envelope, extensions: Mapping[str, str], message: bytes) -> list[tuple[Phase, bytes]]:
    """Raises ValueError for an address that could say more to the server than an address."""
    parameters = b""
    if "SIZE" in extensions:
        parameters += b" SIZE=%d" % len(message)
    if "8BITMIME" in extensions and not message.isascii():
        parameters += b" BODY=8BITMIME"
    if envelope.smtputf8:
        parameters += b" SMTPUTF8"
    sender, recipient = _path(envelope.sender), _path(envelope.recipient)
    if not recipient:
        raise ValueError("the recipient is empty")
    return [
        (Phase.MAIL, b"MAIL FROM:<" + sender + b">" + parameters + b"\r\n"),
        (Phase.RCPT, b"RCPT TO:<" + recipient + b">\r\n"),
        (Phase.DATA, b"DATA\r\n"),
    ]


def _path(address: str) -> bytes:
    path = address.encode()
    if COMMAND_UNSAFE.search(path):
        raise ValueError(f"{address[:80]!r} cannot stand in an SMTP command")
    return path


async def _one_by_one(wire: SmtpWire, transport: asyncio.Transport, commands: list[tuple[Phase, bytes]], timeout_s: float) -> Spoken | None:
    for phase, command in commands:
        transport.write(command)
        answer = await wire.reply(timeout_s)
        if not _good(phase, answer):
            return Spoken(phase, answer)
    return None


async def reset(wire: SmtpWire, transport: asyncio.Transport, timeout_s: float) -> bool:
    """Forget a refused transaction. False if the connection is of no more use."""
    transport.write(b"RSET\r\n")
    answer = await wire.reply(timeout_s)
    return isinstance(answer, Reply) and answer.code == 250


async def _in_one_write(
    wire: SmtpWire, transport: asyncio.Transport, commands: list[tuple[Phase, bytes]], timeout_s: float
) -> Spoken | None:
    """All three at once; the first refusal is the one that counts."""
    transport.write(b"".join(command for _, command in commands))
    refused: Spoken | None = None
    for phase, _ in commands:
        answer = await wire.reply(timeout_s)
        if isinstance(answer, Fault):
            return refused or Spoken(phase, answer)
        if refused is None and not _good(phase, answer):
            refused = Spoken(phase, answer)
        elif refused is not None and phase is Phase.DATA and answer.code == 354:
            await _empty_message(wire, transport, timeout_s)
    return refused


async def _empty_message(wire: SmtpWire, transport: asyncio.Transport, timeout_s: float) -> None:
    """The server opened DATA although it refused the recipient: end it with nothing (RFC 2920, section 3.1)."""
    transport.write(b".\r\n")
    await wire.reply(timeout_s)


def _good(phase: Phase, answer: Reply | Fault) -> bool:
    wanted = 3 if phase is Phase.DATA else 2
    return isinstance(answer, Reply) and answer.code // 100 == wanted
