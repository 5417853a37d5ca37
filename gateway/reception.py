"""What all sessions of one gateway share: the answers to MAIL, RCPT and the final dot, and who is inside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aiosmtpd import smtp

from gateway import smtp_in_rules as rules
from gateway.bodies import BodiesFull, BodyError
from gateway.intake import Envelope, Intake
from gateway.limits import Doors, Limits, Memory
from streams import metrics
from streams.publisher import PublishFailed

log = logging.getLogger(__name__)


class Inside(Protocol):
    """A session, as far as the reception cares."""

    def dismiss(self) -> None:
        """Close politely: now, or behind the reply to the mail that is being taken."""

    def cut(self) -> None:
        """Close now."""


class Reception:
    """What all sessions of one gateway share: the rules, the way in, and who is inside. Also aiosmtpd's handler."""

    def __init__(self, intake: Intake, recipients: rules.Recipients, limits: Limits) -> None:
        self.limits = limits
        self.stopping = False
        self.memory = Memory(limits)
        self._doors = Doors(limits)
        self._inside: dict[Inside, str] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._intake = intake
        self._recipients = recipients
        self._storing: set[asyncio.Task[str]] = set()
        self.hooks: dict[str, Callable[..., Any]] = {
            "MAIL": self.handle_MAIL,
            "RCPT": self.handle_RCPT,
            "RSET": self.handle_RSET,
            "NOOP": self.handle_NOOP,
            "QUIT": self.handle_QUIT,
        }

    async def accept(self, envelope: Envelope, content: bytes, done: Callable[[], object] = lambda: None) -> str:
        """The reply to the final dot; `done` is called when the content is needed no more.

        If the client hangs up meanwhile, the mail is stored all the same.
        """
        task = asyncio.create_task(self._store(envelope, content))
        self._storing.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(lambda _: done())
        task.add_done_callback(self._storing.discard)
        return await asyncio.shield(task)

    def enter(self, session: Inside, client: str) -> bool:
        """True if the session may stay; then it must leave()."""
        if self.stopping or not self._doors.enter(client):
            return False
        self._inside[session] = client
        metrics.GATEWAY_CONNECTIONS.inc()
        self._empty.clear()
        return True

    def leave(self, session: Inside) -> None:
        """May be repeated, and said by one that never entered."""
        client = self._inside.pop(session, None)
        if client is not None:
            self._doors.leave(client)
            metrics.GATEWAY_CONNECTIONS.dec()
        if not self._inside:
            self._empty.set()

    async def stop(self) -> None:
        """Send the idle away, let open mails finish within the drain time, then cut. Close the listening sockets before."""
        self.stopping = True
        for session in list(self._inside):
            session.dismiss()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.drain_s):
                await self._empty.wait()
                await asyncio.gather(*map(asyncio.shield, self._storing))
        for session in list(self._inside):
            session.cut()

    async def _store(self, envelope: Envelope, content: bytes) -> str:
        try:
            refusal = rules.refuse_content(content, self.limits)
            if refusal is None:
                await self._take(envelope, content)
        except BodiesFull as error:
            log.error("%s; clients are told to come back", error)
            return rules.STORE_FULL
        except (PublishFailed, BodyError) as error:
            log.warning("mail not taken: %s; the client was told to come back", error)
            return rules.TRY_LATER
        except Exception:
            log.exception("mail not taken: a fault of this program; the client was told to come back")
            return rules.TRY_LATER
        return refusal or rules.ACCEPTED

    async def _take(self, envelope: Envelope, content: bytes) -> None:
        began = time.monotonic()
        await self._intake.accept(envelope, content)
        metrics.GATEWAY_DURABLE_S.observe(time.monotonic() - began)
        metrics.GATEWAY_ACCEPTED.inc()
        metrics.GATEWAY_ACCEPTED_BYTES.inc(len(content))

    async def handle_MAIL(self, _server: object, _session: object, envelope: smtp.Envelope, address: str, _options: object) -> str:
        refusal = rules.refuse_sender(address, utf8=envelope.smtp_utf8)
        if refusal is None:
            envelope.mail_from = address
        return refusal or rules.OK

    async def handle_RCPT(self, _server: object, _session: object, envelope: smtp.Envelope, address: str, _options: object) -> str:
        taken = len(envelope.rcpt_tos)
        refusal = rules.refuse_recipient(address, taken, self.limits, self._recipients, utf8=envelope.smtp_utf8)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or rules.OK

    async def handle_RSET(self, *_: object) -> str:
        return rules.OK

    async def handle_NOOP(self, *_: object) -> str:
        return rules.OK

    async def handle_QUIT(self, *_: object) -> str:
        return rules.BYE

    def __dir__(self) -> Sequence[str]:
        """For aiosmtpd, which searches its handler's names twice for each connection; it is given `hooks`."""
        return ()
