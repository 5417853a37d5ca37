"""The gateway's SMTP and LMTP server: aiosmtpd, held to what a mail system promises.

What differs from aiosmtpd, and why (reliability.md, section 3 and rows I):
- an exception is answered 451 and a constant text, where aiosmtpd says 500 and quotes it: senders would bounce their mail
- 250 comes only when every record is durable, and a client that hangs up does not cancel the storing
- the mail is read in pieces, not line by line, and a bare CR, LF or NUL is refused (SMTP smuggling)
- addresses are split by one strict pattern; clients are counted, and so are their errors
- no AUTH; PIPELINING and enhanced status codes, which LMTP demands (RFC 2033, section 5)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiosmtpd import smtp

from gateway import smtp_in_rules as rules
from gateway.intake import Envelope
from gateway.reception import Reception
from gateway.smtp_in_data import PIECE, NoRoom, expect_mail, read_mail
from streams import metrics

NULL_SENDER = "<>"
CHATTER = ("NOOP", "VRFY", "EXPN", "HELP", "EHLO", "HELO", "LHLO")
HELO_LENGTH = 255
COMMANDS = {name.removeprefix("smtp_"): name for name in dir(smtp.SMTP) if name.startswith("smtp_") and name != "smtp_AUTH"}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """How the server presents itself."""

    hostname: str
    tls: ssl.SSLContext | None = None


class Session(smtp.SMTP):
    """One client's connection, as SMTP or as LMTP."""

    session: smtp.Session  # from the connection on; aiosmtpd allows for none
    envelope: smtp.Envelope
    transport: Any
    line_length_limit = PIECE  # of the stream's buffer; aiosmtpd's own limit on command lines stays

    def __init__(self, reception: Reception, identity: Identity, loop: asyncio.AbstractEventLoop, *, lmtp: bool) -> None:
        self._reception = reception
        self._limits = reception.limits
        self._lmtp = lmtp
        self._errors = 0
        self._taking = False
        self._client = ""
        super().__init__(
            reception,
            data_size_limit=self._limits.mail,
            enable_SMTPUTF8=True,
            hostname=identity.hostname,
            ident="LMTP espmail" if lmtp else "ESMTP espmail",
            tls_context=identity.tls,
            timeout=self._limits.idle_s,
            command_call_limit={"*": 1_000_000, **dict.fromkeys(CHATTER, self._limits.chatter)},
            loop=loop,
        )
        self._handle_hooks = reception.hooks
        self._smtp_methods = {command: getattr(self, name) for command, name in COMMANDS.items()}
        if lmtp:
            self._smtp_methods["LHLO"] = self._smtp_methods.pop("EHLO")
            del self._smtp_methods["HELO"]

    def __dir__(self) -> Sequence[str]:
        """aiosmtpd searches all names of its protocol and its handler for every connection, at half its cost; we say what is there."""
        return ()

    # -- coming and going ------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        if self.transport is not None:  # the second time, as TLS begins
            super().connection_made(transport)
            return
        peer = transport.get_extra_info("peername")
        client = peer[0] if isinstance(peer, tuple) else ""
        if not self._reception.enter(self, client):
            self._turn_away(transport)
            return
        self._client = client
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._reception.leave(self)
        super().connection_lost(error)

    def dismiss(self) -> None:
        """Close politely: now, or behind the reply to the mail that is being taken."""
        if not self._taking:
            self._say_and_close(rules.STOPPING)

    def cut(self) -> None:
        """Close now."""
        if self.transport is not None:
            self.transport.abort()

    def _turn_away(self, transport: Any) -> None:
        transport.set_protocol(asyncio.Protocol())  # aiosmtpd would start a session
        _count(rules.BUSY)
        transport.write(f"{rules.BUSY}\r\n".encode())
        transport.close()

    def _timeout_cb(self) -> None:
        self._say_and_close(rules.IDLE_TOO_LONG)

    def _say_and_close(self, reply: str) -> None:
        if self.transport is not None:
            _count(reply)
            self._writer.write(f"{reply}\r\n".encode())
            self.transport.close()

    # -- replies ---------------------------------------------------------------------------------------------------

    async def push(self, status: Any) -> None:
        """One reply, as text. The one error too many is the last: 421, and the connection closes."""
        if status[0] in rules.GENERAL:
            status = rules.with_enhanced_code(status)
            self._errors += 1
        if self._errors <= self._limits.errors:
            _count(status)
            await super().push(status)
        else:
            self._say_and_close(rules.TOO_MANY_ERRORS)

    async def handle_exception(self, error: Exception) -> str:
        if isinstance(error, smtp.TLSSetupException):
            log.info("a client did not manage TLS: %s", error.__cause__)
            return rules.TRY_LATER
        log.error("a fault of this program in an SMTP session; the client was told to come back", exc_info=error)
        return rules.TRY_LATER

    # -- commands --------------------------------------------------------------------------------------------------

    async def smtp_EHLO(self, hostname: str | None) -> None:
        """Also LHLO. What is offered is said in one write, and AUTH is not."""
        if not hostname:
            await self.push("501 5.5.4 say who you are")
        elif await self._in_step():
            self.envelope = self._create_envelope()
            self.session.extended_smtp = True
            self.session.host_name = hostname
            await self.push("\r\n250-".join([f"250-{self.hostname}", *self._offers()]) + "\r\n250 ENHANCEDSTATUSCODES")

    def _offers(self) -> list[str]:
        starttls = ["STARTTLS"] if self.tls_context and not self._tls_protocol else []
        return [f"SIZE {self._limits.mail}", "8BITMIME", "SMTPUTF8", "PIPELINING", *starttls]

    async def smtp_HELO(self, hostname: str) -> None:
        if await self._in_step():
            await super().smtp_HELO(hostname)

    async def smtp_VRFY(self, _arg: str) -> None:
        await self.push(rules.CANNOT_VERIFY)

    async def smtp_DATA(self, arg: str | None) -> None:
        """Read the mail and answer it, once in SMTP and once for each recipient in LMTP (RFC 2033, section 4.2)."""
        if await self.check_helo_needed():
            return
        if arg:
            await self.push("501 5.5.4 DATA stands alone")
        elif not self.envelope.rcpt_tos:
            await self.push(rules.NO_RECIPIENTS)
        elif await self._in_step():
            await self._take_mail()

    async def _take_mail(self) -> None:
        envelope = self._envelope()
        self._taking = True
        metrics.GATEWAY_IN_FLIGHT.inc()
        try:
            expect_mail(self._reader)
            await self.push(rules.SEND_IT)
            reply = await self._reply_to_mail(envelope)
            self.envelope = self._create_envelope()
            if reply == rules.ACCEPTED:
                self._errors = 0  # whoever delivers mail may be refused some of it, for as long as it likes
            await self.push("\r\n".join([reply] * (len(envelope.rcpt_tos) if self._lmtp else 1)))
        finally:
            self._taking = False
            metrics.GATEWAY_IN_FLIGHT.dec()
        if self._reception.stopping:
            self._say_and_close(rules.STOPPING)

    async def _reply_to_mail(self, envelope: Envelope) -> str:
        """The mail holds its memory until it is stored, whether the client stays for the answer or not."""
        held = self._reception.memory.hold()
        with contextlib.ExitStack() as until_stored:
            until_stored.callback(held.release)
            try:
                content = await read_mail(self._reader, self._limits.mail, held.grow)
            except NoRoom:
                return rules.STORE_FULL
            if content is None:
                return rules.TOO_BIG
            return await self._reception.accept(envelope, content, until_stored.pop_all().close)

    async def _in_step(self) -> bool:
        """True unless the client has sent more than the command that must be the last of its group (RFC 2920, section 3.1).

        Whoever runs ahead of the answer to EHLO or DATA is no mail server, or is being used by a page in a browser.
        """
        # No public way to ask; aiosmtpd reaches in as well, for STARTTLS.
        if not self._reader._buffer:  # type: ignore[attr-defined] # noqa: SLF001
            return True
        self._say_and_close(rules.OUT_OF_STEP)
        return False

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """aiosmtpd's way to split `<address> parameters`: its own goes through the stdlib's header parser."""
        split = rules.split_path(arg)
        return (None, None) if split is None else (split[0] or NULL_SENDER, split[1])

    def _envelope(self) -> Envelope:
        """Who sends to whom, copied, so that it stays what it was when the session moves on."""
        mail_from = self.envelope.mail_from
        return Envelope(
            mail_from="" if mail_from == NULL_SENDER else str(mail_from),
            rcpt_tos=tuple(self.envelope.rcpt_tos),
            client=self._client,
            helo=str(self.session.host_name).encode("utf-8", "replace").decode()[:HELO_LENGTH],
            protocol=self._protocol(),
        )

    def _protocol(self) -> str:
        """The name by RFC 3848."""
        base = "LMTP" if self._lmtp else "ESMTP" if self.session.extended_smtp else "SMTP"
        return base + ("S" if self.session.ssl else "")


def _count(reply: str) -> None:
    """A refusal, by its codes: there are only so many, whatever clients say."""
    if reply[0] in rules.GENERAL:
        metrics.GATEWAY_REFUSED.labels(rules.with_enhanced_code(reply)[: len("550 5.7.1")].strip()).inc()
