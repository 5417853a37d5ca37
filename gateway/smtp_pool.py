"""Connections to the MTA: kept, shared, replaced, and rested when a server is down.

Smart hosts are tried in order of preference; one that cannot be reached, or will not have us, rests for a while, twice as long each time.
While all rest, nobody is offered anything and no attempt is counted.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import aiosmtplib

from gateway.smtp_out import Envelope, SmtpWire, Spoken, Withheld, reset, transact
from streams import metrics
from streams.domain.delivery import Fault, Phase, Reply, judge

FIRST_REST_S, LONGEST_REST_S = 1.0, 60.0
MAILS_PER_CONNECTION = 500  # below the limits of common servers, Exim's 1000 among them
IDLE_S = 30.0
# Mails a connection that may have begun: while one is spoken of, the next one's attempt becomes durable. What is begun is
# what a crash leaves in doubt, so not more.
BEGUN_PER_CONNECTION = 2


@dataclass(frozen=True, slots=True)
class Access:
    """How to come to a server: TLS is opportunistic, required or off; AUTH where `user` is set.

    A password is for nobody but that server: with a user name, opportunistic is required. In clear it goes only where TLS is off.
    """

    tls: str = "opportunistic"
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def verified(self) -> bool:
        """Whether nothing is said without TLS and a certificate that somebody vouches for."""
        return self.tls == "required" or (self.tls == "opportunistic" and bool(self.user))


@dataclass(slots=True)
class Line:
    """One open connection."""

    mta: str
    wire: SmtpWire
    transport: asyncio.Transport
    extensions: Mapping[str, str]
    used: int = 0
    free_since: float = 0.0

    @property
    def good(self) -> bool:
        fresh = self.used < MAILS_PER_CONNECTION and (not self.used or time.monotonic() - self.free_since < IDLE_S)
        return fresh and self.wire.idle and not self.transport.is_closing()

    def ended(self, spoken: Spoken) -> bool:
        """It was a kept one, and its end is all that this answer speaks of."""
        return self.used > 1 and _stale(spoken)


@dataclass(slots=True)
class Server:
    """One smart host, and until when (monotonic seconds) it rests."""

    host: str
    port: int
    rests_until: float = 0.0
    rest_s: float = FIRST_REST_S
    last: Spoken | None = None

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def resting(self) -> bool:
        return self.rests_until > time.monotonic()

    def rest(self, spoken: Spoken) -> None:
        """Connections that were under way together fail together: that counts once."""
        self.last = spoken
        if not self.resting:
            self.rests_until = time.monotonic() + self.rest_s
            self.rest_s = min(2 * self.rest_s, LONGEST_REST_S)


class SmtpPool:
    """At most `connections` at once. Used from one event loop."""

    def __init__(self, endpoints: Sequence[tuple[str, int]], connections: int, timeout_s: float, access: Access = Access()) -> None:
        self._servers = [Server(host, port) for host, port in endpoints]
        self._by_name = {server.name: server for server in reversed(self._servers)}  # asked for with each mail
        self._turns = asyncio.Semaphore(BEGUN_PER_CONNECTION * connections)
        self._slots = asyncio.Semaphore(connections)
        self._free: list[Line] = []
        self._timeout_s = timeout_s
        self._access = access

    async def available(self, patience_s: float) -> Spoken | None:
        """Waits until some server is worth trying, at most `patience_s`; then returns what the last one said."""
        until = time.monotonic() + patience_s
        while (rest := min(server.rests_until for server in self._servers) - time.monotonic()) > 0:
            if time.monotonic() >= until:
                return self._servers[0].last
            await asyncio.sleep(min(rest, max(0.01, until - time.monotonic())))
        return None

    async def deliver(
        self, envelope: Envelope, message: bytes, may_offer: Callable[[], Awaitable[bool]], may_finish: Callable[[], bool]
    ) -> tuple[Spoken, str]:
        """Offer one mail; returns the answer and the server's host:port. Raises Withheld if a `may_` says no.

        `may_offer` is awaited when the mail's turn is near and again when a connection is at hand, `may_finish` is asked
        before the message follows its envelope, and again before the dot of a long one. A kept connection that turns out dead before the final dot is replaced
        once: nothing was handed over.
        """
        async with self._turns:
            if not await may_offer():
                raise Withheld
            async with self._slots:
                spoken, line = await self._offer(envelope, message, may_offer, may_finish, fresh=False)
                if line is not None and line.ended(spoken):
                    spoken, line = await self._offer(envelope, message, may_offer, may_finish, fresh=True)
                return spoken, line.mta if line else ""

    async def close(self) -> None:
        """Say QUIT on every free connection and drop it."""
        while self._free:
            self._quit(self._free.pop())

    async def _offer(
        self,
        envelope: Envelope,
        message: bytes,
        may_offer: Callable[[], Awaitable[bool]],
        may_finish: Callable[[], bool],
        *,
        fresh: bool,
    ) -> tuple[Spoken, Line | None]:
        line = await self._line(fresh=fresh)
        if isinstance(line, Spoken):
            return line, None
        try:
            offered = await may_offer()
        except BaseException:
            self._put_back(line)
            raise
        if not offered:
            self._put_back(line)
            raise Withheld
        line.used += 1
        try:
            spoken = await transact(line.wire, line.transport, line.extensions, envelope, message, self._timeout_s, may_finish)
        except BaseException:
            line.transport.abort()  # without its final dot the server forgets the mail
            metrics.SMTP_CONNECTIONS.dec()
            raise
        await self._after(line, spoken)
        return spoken, line

    async def _line(self, *, fresh: bool) -> Line | Spoken:
        while self._free and not fresh:
            line = self._free.pop()
            if line.good and not self._server_of(line).resting:
                return line
            self._quit(line)
        return await self._open()

    async def _after(self, line: Line, spoken: Spoken) -> None:
        server = self._server_of(line)
        if judge(spoken.phase, spoken.answer).rests_server and not line.ended(spoken):
            server.rest(spoken)
        else:
            server.rest_s = FIRST_REST_S
        usable = isinstance(spoken.answer, Reply) and spoken.answer.code != 421
        if usable and spoken.phase is not Phase.DOT:
            usable = await reset(line.wire, line.transport, self._timeout_s)
        if usable:
            self._put_back(line)
        else:
            self._quit(line)

    def _server_of(self, line: Line) -> Server:
        return self._by_name[line.mta]

    def _put_back(self, line: Line) -> None:
        line.free_since = time.monotonic()
        self._free.append(line)

    @staticmethod
    def _quit(line: Line) -> None:
        if not line.transport.is_closing():
            line.transport.write(b"QUIT\r\n")
        line.transport.close()
        metrics.SMTP_CONNECTIONS.dec()

    async def _open(self) -> Line | Spoken:
        """A new connection to the first server that answers; else what the last one said."""
        spoken = self._servers[0].last or Spoken(Phase.CONNECT, Fault("unreachable", "no server"))
        for server in self._servers:
            if server.resting:
                continue
            opened = await connect(server.host, server.port, self._access, self._timeout_s)
            if isinstance(opened, Line):
                metrics.SMTP_CONNECTIONS.inc()
                return opened
            server.rest(opened)
            spoken = opened
        return spoken


async def connect(host: str, port: int, access: Access, timeout_s: float) -> Line | Spoken:
    """Open, greet, secure and authenticate. Never raises but for cancellation."""
    client = aiosmtplib.SMTP(
        hostname=host,
        port=port,
        timeout=timeout_s,
        start_tls=True if access.verified else {"opportunistic": None, "off": False}[access.tls],
        validate_certs=access.verified,
    )
    phase = Phase.CONNECT
    try:
        await client.connect()
        phase = Phase.GREETING
        if client.is_ehlo_or_helo_needed:  # looking for STARTTLS it has said it already
            await client.ehlo()
        phase = Phase.AUTH
        if access.user:
            await client.login(access.user, access.password)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        client.close()
        return _failed(phase, error)
    wire = SmtpWire()
    transport = cast("asyncio.Transport | None", client.transport)  # uvloop's is not a subclass of it
    if transport is None or transport.is_closing():
        return Spoken(phase, Fault("disconnected", "the server closed the connection"))
    transport.set_protocol(wire)
    extensions = {name.upper(): parameters for name, parameters in client.esmtp_extensions.items()}
    return Line(f"{host}:{port}", wire, transport, extensions)


def _failed(phase: Phase, error: Exception) -> Spoken:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Spoken(phase, Reply(error.code, error.message))
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Spoken(Phase.TLS, Fault("tls", str(error)))
    if isinstance(error, TimeoutError | aiosmtplib.SMTPTimeoutError):
        return Spoken(phase, Fault("timeout", str(error)))
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return Spoken(phase, Fault("disconnected", str(error)))
    return Spoken(phase, Fault("unreachable", str(error)))


def _stale(spoken: Spoken) -> bool:
    """A kept connection had died, or the server was done with it: says nothing about the mail."""
    if isinstance(spoken.answer, Fault):
        return spoken.answer.kind == "disconnected" and spoken.phase is not Phase.DOT
    return spoken.answer.code == 421 and spoken.phase is Phase.MAIL
