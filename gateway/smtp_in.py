"""The gateway's SMTP and LMTP sessions: when what is heard, and when it is answered.

What is answered is the dialogue's to say (smtp_in_dialogue.py), and what becomes of a mail the reception's. What is promised here:
- each line is answered as it comes, and lines that came together are answered in one write (RFC 2920)
- 250 comes only when every record is durable; a client that hangs up does not cancel the storing
- an exception is answered 451 and a constant text, for senders come again then
- whoever is silent, or does not read, has a connection for `idle_s`, and a few kilobytes
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway import smtp_in_rules as rules
from gateway.reception import Reception
from gateway.smtp_in_commands import Identity
from gateway.smtp_in_data import NoRoom
from gateway.smtp_in_dialogue import COMMAND_LENGTH, Dialogue
from gateway.taking import Taking
from streams import metrics

AHEAD = 65_536  # bytes that a client may send behind a mail whose answer it has not had
HANDSHAKE_S = 60.0
FAULT = "a fault of this program in an SMTP session; the client was told to come back"
log = logging.getLogger(__name__)


def _ignore(_data: bytes) -> None:
    """The ear behind the last words; no method, so that who has gone refers to nothing."""


class Session(asyncio.Protocol):
    """One client's connection. What arrives goes to `_ear`: who listens depends on what was said last."""

    _dialogue: Dialogue
    _transport: Any
    _ear: Callable[[bytes], None]
    _taking: Taking | None = None  # the mail whose 354 was said and whose answer was not
    _timer: asyncio.TimerHandle | None = None
    _securing: asyncio.Task[None] | None = None
    _heard_at = 0.0
    _unread = b""
    _choked = False  # the client does not read
    _ended = False  # the client has said all that it will ever say
    _speaking = False  # it may be spoken to: not before it came, not behind the last words, not while TLS begins

    def __init__(self, reception: Reception, identity: Identity, loop: asyncio.AbstractEventLoop, *, lmtp: bool) -> None:
        self._reception = reception
        self._identity = identity
        self._loop = loop
        self._lmtp = lmtp
        self._ear = _ignore

    # -- coming and going ------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        client = peer[0] if isinstance(peer, tuple) else ""
        self._transport = transport
        self._speaking = True
        if not self._reception.enter(self, client):
            self._say(rules.BUSY)
            return
        self._dialogue = Dialogue(self._identity, self._reception.limits, self._reception.recipients, client=client, lmtp=self._lmtp)
        self._watch_from_now()
        self._say(self._dialogue.greeting())
        self._ear = self._hear

    def data_received(self, data: bytes) -> None:
        self._ear(data)

    def eof_received(self) -> bool:
        """True to stay and answer: who is done talking may still want to know what became of its mail. TLS has no such half."""
        self._ended = True
        return self._taking is not None and self._ear == self._keep and self._transport.can_write_eof()

    def connection_lost(self, _error: Exception | None) -> None:
        """Called by ourselves as well, where TLS failed."""
        self._reception.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        self._fall_silent()

    def _fall_silent(self) -> None:
        """Say and hear nothing more. A mail that is not whole is given up; one that is being stored goes on without us."""
        if self._taking is not None and self._ear == self._read:
            self._taking.end()
            self._taking = None
        self._speaking = False
        self._ear = _ignore

    def _hang_up(self) -> None:
        """Close behind what was said; if the client never reads it, `_watch` cuts."""
        self._fall_silent()
        self._transport.close()

    def dismiss(self) -> None:
        """Close politely: now, or behind the reply to the mail that is being taken."""
        if self._taking is None:
            self._say(rules.STOPPING)

    def cut(self) -> None:
        """Close now."""
        self._transport.abort()

    def _watch_from_now(self) -> None:
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(self._reception.limits.idle_s, self._watch)

    def _watch(self) -> None:
        """One timer a connection, set anew only when it has run out: most commands come long before."""
        left = self._heard_at + self._reception.limits.idle_s - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._watch)
        elif self._ear is _ignore:  # it does not even read the last words
            self.cut()
        else:
            if self._ear != self._keep:  # or it waits for us
                self._say(rules.IDLE_TOO_LONG)
            self._watch_from_now()

    # -- speaking --------------------------------------------------------------------------------------------------

    def _say(self, *replies: str) -> None:
        """Closes behind last words."""
        if not self._speaking:
            return
        for reply in replies:
            if rules.is_refusal(reply):
                metrics.GATEWAY_REFUSED.labels(rules.codes_of(reply)).inc()
        self._transport.write("\r\n".join((*replies, "")).encode())
        if replies[-1] in rules.LAST_WORDS:
            self._hang_up()

    def pause_writing(self) -> None:
        self._choked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._choked = False
        self._listen()

    def _listen(self) -> None:
        if self._speaking and not self._choked:
            self._transport.resume_reading()

    # -- hearing ---------------------------------------------------------------------------------------------------

    def _keep(self, data: bytes) -> None:
        """While a mail is being stored, or TLS begins."""
        self._unread += data
        if len(self._unread) > AHEAD:
            self._transport.pause_reading()

    def _hear(self, data: bytes) -> None:
        """Commands. Of a line without end no more is kept than shows that it is too long."""
        lines = (self._unread + data).split(b"\n")
        rest = lines.pop()
        self._unread = rest[: COMMAND_LENGTH + 1]
        if lines:
            self._heard_at = self._loop.time()
            replies = self._answers(lines, nothing_behind=not rest)
            self._say(*replies)
            if follow := FOLLOWED.get(replies[-1]):
                follow(self)

    def _answers(self, lines: list[bytes], *, nothing_behind: bool) -> list[str]:
        """The replies to as many lines as can be answered now: behind some, nothing that came with them counts."""
        replies: list[str] = []
        for line in lines:
            is_last = len(replies) == len(lines) - 1
            replies.append(self._answer(line.rstrip(b"\r"), alone=is_last and nothing_behind))
            if replies[-1] in rules.LAST_WORDS or replies[-1] in FOLLOWED:
                break
        return replies

    def _answer(self, line: bytes, *, alone: bool) -> str:
        try:
            return self._dialogue.answer(line, alone=alone)
        except Exception:
            log.exception(FAULT)
            return self._dialogue.counted(rules.TRY_LATER)

    def _go_on(self) -> None:
        """Hear what was sent meanwhile, unless there was a stop meanwhile."""
        if self._reception.stopping:
            self._say(rules.STOPPING)
        if not self._speaking:
            return
        self._ear = self._hear
        self._listen()
        self._hear(b"")
        if self._ended and self._speaking:
            self._hang_up()

    # -- mail ------------------------------------------------------------------------------------------------------

    def _open_mail(self) -> None:
        self._taking = Taking(self._dialogue.envelope(), self._reception.limits, self._reception.memory)
        self._ear = self._read

    def _read(self, data: bytes) -> None:
        assert self._taking is not None
        rest = self._taking.reader.feed(data)
        if rest is not None:
            self._unread = rest
            self._ear = self._keep
            self._take(self._taking)

    def _take(self, taking: Taking) -> None:
        """The mail holds its memory until it is stored, whether the client stays for the answer or not."""
        answer = partial(self._answer_mail, taking)
        try:
            content = taking.reader.content()
        except NoRoom:
            answer(rules.STORE_FULL)
        except Exception:  # the machine's memory, above all
            log.exception(FAULT)
            answer(rules.TRY_LATER)
        else:
            if content is None:
                answer(rules.TOO_BIG)
            else:
                self._reception.store(taking.envelope, content, answer)

    def _answer_mail(self, taking: Taking, reply: str) -> None:
        taking.end()
        self._taking = None
        self._heard_at = self._loop.time()
        self._say(self._dialogue.finish(reply))
        self._go_on()

    # -- TLS -------------------------------------------------------------------------------------------------------

    def _start_tls(self) -> None:
        """Drops what was sent in clear behind the command (CVE-2024-34083)."""
        self._transport.pause_reading()
        self._speaking = False
        self._unread = b""
        self._ear = self._keep
        self._securing = self._loop.create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        assert self._identity.tls is not None
        if self._transport.is_closing():  # start_tls would wait for it without end
            return
        deadline = min(HANDSHAKE_S, self._reception.limits.idle_s)
        try:
            secured = await self._loop.start_tls(
                self._transport, self, self._identity.tls, server_side=True, ssl_handshake_timeout=deadline
            )
            if secured is None or secured.is_closing():  # the loops do not call a connection's end that has no error a failure
                raise ConnectionAbortedError("the connection was closed meanwhile")
        except OSError as error:
            log.info("a client did not manage TLS: %s", error)
            self.cut()
            self.connection_lost(error)
            return
        self._transport = secured
        if self._ear == self._keep:  # it may have gone again
            self._speaking = True
            self._dialogue.secured()
            self._go_on()


FOLLOWED = {rules.SEND_IT: Session._open_mail, rules.START_TLS: Session._start_tls}  # noqa: SLF001
