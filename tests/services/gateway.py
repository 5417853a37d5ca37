"""The gateway in the test's own event loop, and a client that says exactly the bytes it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.bodies import Bodies
from gateway.bodies_files import FileBodies
from gateway.intake import Intake
from gateway.limits import Limits
from gateway.listen import close_sockets, open_sockets
from gateway.reception import Reception
from gateway.smtp_in_commands import Identity
from gateway.smtp_in_rules import Recipients
from streams import codec
from streams.domain.verp import is_for_bounces
from streams.events import InboundMailReceived, SiteRow
from streams.publisher import Publisher, Record
from streams.settings import Settings
from tests.services.ports import HOST, free_ports
from tests.services.until import until

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
SITE = "yale.learningu.org"
LIST = f"m123-class@{SITE}"
MAIL = b"From: ann@x.org\r\nSubject: hi\r\n\r\nhello\r\n"
DOT = b".\r\n"
ANSWER_S = 20.0
ROW = SiteRow(SITE, "Yale Splash", "websupport@learningu.org", "emailbounces@learningu.org", f"info@{SITE}", [])
HERE = Recipients(
    any_site=lambda: True,
    is_local=lambda domain: domain == SITE,
    is_known=lambda address: not address.startswith("nobody@"),
    is_bounces=lambda address: is_for_bounces(address, [ROW]),
)


@dataclass(frozen=True)
class Gateway:
    """A gateway that listens, and the clients that it ever had."""

    settings: Settings
    reception: Reception
    clients: list[Client] = field(default_factory=list)

    async def knock(self, *, lmtp: bool = False) -> Client:
        """A connection on which nothing was read yet."""
        socket = self.settings.lmtp_socket
        opened = await (asyncio.open_unix_connection(socket) if lmtp else asyncio.open_connection(HOST, self.settings.smtp_port))
        self.clients.append(Client(*opened))
        return self.clients[-1]

    async def smtp(self) -> Client:
        """A client that has had the greeting."""
        return await self._greeted(lmtp=False)

    async def lmtp(self) -> Client:
        """The same on the unix socket."""
        return await self._greeted(lmtp=True)

    async def is_left(self) -> bool:
        """True once nobody is counted as inside. Fails the test if somebody stays."""
        return await asyncio.to_thread(until, lambda: not vars(self.reception)["_inside"], "nobody is inside")

    async def _greeted(self, *, lmtp: bool) -> Client:
        client = await self.knock(lmtp=lmtp)
        assert (await client.reply()).startswith("220 ")
        return client


@dataclass(frozen=True)
class Client:
    """One connection. Replies are read whole, with their continuation lines."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, *lines: str) -> str:
        """Send lines, at once; the reply to the first that has not had one."""
        return await self.send("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))

    async def send(self, data: bytes) -> str:
        self.writer.write(data)
        return await self.reply()

    async def reply(self) -> str:
        """The next reply, without its last line end; empty if the server closed."""
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), ANSWER_S)).decode()
            lines.append(line)
            if line[3:4] != "-":
                return "".join(lines).removesuffix("\r\n")

    async def is_closed(self) -> bool:
        """True when the server has closed and said nothing more."""
        return await asyncio.wait_for(self.reader.read(), ANSWER_S) == b""

    async def open_mail(self, *rcpt_tos: str, mail_from: str = "ann@x.org", hello: str = "EHLO client.x.org") -> None:
        """Up to the 354."""
        assert (await self.say(hello)).startswith("250")
        assert (await self.say(f"MAIL FROM:<{mail_from}>")).startswith("250")
        for rcpt_to in rcpt_tos or (LIST,):
            assert (await self.say(f"RCPT TO:<{rcpt_to}>")).startswith("250")
        assert (await self.say("DATA")).startswith("354")

    async def close(self) -> None:
        """Hang up, politely or not: the server may have been first."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def running_gateway(
    folder: Path,
    publisher: Publisher,
    *,
    limits: Limits | None = None,
    bodies: Bodies | None = None,
    recipients: Recipients = HERE,
    identity: Identity | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway on free ports and a unix socket in `folder`."""
    limits = limits or Limits()
    port = free_ports(2)
    settings = replace(Settings(), smtp_port=port, lmtp_port=port + 1, lmtp_socket=str(folder / "lmtp"), max_mail=limits.mail)
    store = bodies or FileBodies(folder / "bodies")
    reception = Reception(Intake(publisher, store, settings.inline_limit, lambda: NOW), recipients, limits)
    servers = await open_sockets(settings, reception, identity or Identity("gateway.test"))
    gateway = Gateway(settings, reception)
    try:
        yield gateway
    finally:
        close_sockets(servers)
        for client in gateway.clients:
            await client.close()
        await reception.stop()


def received(records: Sequence[Record]) -> list[InboundMailReceived]:
    """The events of records."""
    return [codec.decode_as(InboundMailReceived, record.value) for record in records]
