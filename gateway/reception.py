"""What all sessions of one gateway share: who is inside, how much they hold, and the way from a whole mail to its answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

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
    """One a gateway. `store` mails; sessions `enter` and `leave`; `stop` once."""

    def __init__(self, intake: Intake, recipients: rules.Recipients, limits: Limits) -> None:
        self.limits = limits
        self.recipients = recipients
        self.stopping = False
        self.memory = Memory(limits)
        self._doors = Doors(limits)
        self._inside: dict[Inside, str] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._intake = intake
        self._storing: set[asyncio.Task[None]] = set()

    def store(self, envelope: Envelope, content: bytes, answer: Callable[[str], object]) -> None:
        """Calls `answer` with the reply to the final dot, when there is one. Nobody's going cancels it."""
        task = asyncio.create_task(self._store(envelope, content, answer))
        self._storing.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._storing.discard)

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

    async def _store(self, envelope: Envelope, content: bytes, answer: Callable[[str], object]) -> None:
        answer(await self._outcome(envelope, content))

    async def _outcome(self, envelope: Envelope, content: bytes) -> str:
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
