"""Servers that take mail by SMTP, SendGrid's Web API or SES, and do what a test tells them to.

The two HTTP ones check calls as the providers' published API descriptions say. All of them keep what they took.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Protocol

from aiohttp import web

from gateway.providers.sendgrid import SendGrid
from gateway.providers.ses import Ses, ses_client
from gateway.smtp_pool import SmtpPool
from gateway.transport import Transport
from streams.domain import sendgrid
from streams.domain.compose import compose
from streams.events import EmailQueued
from tests.services.ports import HOST

TIMEOUT_S = 5.0
CONNECTIONS = 4
SECRET = "sk-fake-0001"


class Play(Enum):
    """What the server does with each mail from now on."""

    TAKE = auto()
    REFUSE = auto()  # this mail, for good
    BUSY = auto()  # not now
    LOCK_OUT = auto()  # not from us
    HANG_UP = auto()  # has the whole mail, and falls silent


class FakeServer(Protocol):
    """`taken` is (recipient, subject) of each mail that the server said yes to."""

    play: Play
    taken: list[tuple[str, str]]

    async def start(self, port: int) -> None: ...
    async def stop(self) -> None: ...
    def transport(self, port: int) -> Transport: ...
    def written(self, mail: EmailQueued) -> bytes: ...


def subject_of(raw: bytes) -> str:
    return str(email.message_from_bytes(raw, policy=email.policy.default)["Subject"])


class FakeSmtp:
    """Enough of RFC 5321 for one client."""

    def __init__(self) -> None:
        self.play = Play.TAKE
        self.taken: list[tuple[str, str]] = []

    async def start(self, port: int) -> None:
        self._talks: set[asyncio.Task[Any] | None] = set()
        self._server = await asyncio.start_server(self._welcome, HOST, port)

    async def stop(self) -> None:
        self._server.close()
        talks = [talk for talk in self._talks if talk]
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    def transport(self, port: int) -> Transport:
        return SmtpPool([(HOST, port)], CONNECTIONS, TIMEOUT_S)

    def written(self, mail: EmailQueued) -> bytes:
        return compose(mail, {})

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.add(asyncio.current_task())
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 5.3.2 not you\r\n" if self.play is Play.LOCK_OUT else b"220 fake\r\n")
        recipient = ""
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipient = line.partition(b"<")[2].partition(b">")[0].decode()
            if verb == b"QUIT":
                break
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                message = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                if self.play is Play.HANG_UP:
                    break
                writer.write(self._judged(recipient, message))
            else:
                writer.write(b"250 fine\r\n")

    def _judged(self, recipient: str, message: bytes) -> bytes:
        if self.play is Play.TAKE:
            self.taken.append((recipient, subject_of(message)))
        return {Play.TAKE: b"250 2.0.0 taken\r\n", Play.REFUSE: b"554 5.6.0 no\r\n", Play.BUSY: b"451 4.3.0 later\r\n"}[self.play]


class FakeHttp:
    """One POST route on loopback."""

    path = ""

    def __init__(self) -> None:
        self.play = Play.TAKE
        self.taken: list[tuple[str, str]] = []

    async def start(self, port: int) -> None:
        app = web.Application(client_max_size=30 * 2**20)
        app.router.add_post(self.path, self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        call = await request.json()
        if self.play is Play.HANG_UP:
            assert request.transport is not None
            request.transport.close()
        return self.answered(request, call)

    def answered(self, request: web.Request, call: Any) -> web.Response:
        raise AssertionError(f"no way to answer {request.path} with {call}")


class FakeSendGrid(FakeHttp):
    """POST /v3/mail/send of the published v3 description: required fields, lengths, reserved headers."""

    path = "/v3/mail/send"
    RESERVED = frozenset({
        "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
        "to", "from", "subject", "reply-to", "cc", "bcc",
    })  # fmt: skip
    REFUSALS = {Play.REFUSE: (400, "content"), Play.BUSY: (503, None), Play.LOCK_OUT: (401, None), Play.HANG_UP: (500, None)}  # noqa: RUF012 - never changed

    def transport(self, port: int) -> Transport:
        return SendGrid(f"http://{HOST}:{port}", SECRET, CONNECTIONS, TIMEOUT_S)

    def written(self, mail: EmailQueued) -> bytes:
        return sendgrid.payload(mail, {})

    def answered(self, request: web.Request, call: Any) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {SECRET}":
            return self._errors(401, None)
        if self.play is not Play.TAKE:
            return self._errors(*self.REFUSALS[self.play])
        fault = next((field for field, holds in self._rules(call) if not holds), None)
        if fault:
            return self._errors(400, fault)
        person = call["personalizations"][0]
        self.taken.append((person["to"][0]["email"], person["subject"]))
        return web.Response(status=202, headers={"X-Message-Id": "sg-1"})

    def _rules(self, call: Any) -> list[tuple[str, bool]]:
        person = call["personalizations"][0]
        to = person["to"][0]["email"]
        return [
            ("from.email", "@" in call["from"]["email"]),
            ("personalizations", len(call["personalizations"]) == 1 and len(person["to"]) == 1),
            ("personalizations.0.to.0.email", bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", to)) and to.isascii()),
            ("personalizations.0.subject", len(person["subject"]) >= 1),
            ("personalizations.0.headers", not self.RESERVED.intersection(map(str.lower, person["headers"]))),
            ("personalizations.0.custom_args", all(isinstance(value, str) for value in person["custom_args"].values())),
            ("content", bool(call["content"]) and all(part["type"] and part["value"] for part in call["content"])),
            ("reply_to", not ("reply_to" in call and "reply_to_list" in call)),
            ("attachments", all(base64.b64decode(file["content"], validate=True) for file in call.get("attachments", []))),
        ]

    @staticmethod
    def _errors(status: int, field: str | None) -> web.Response:
        return web.json_response({"errors": [{"message": "no", "field": field}]}, status=status)


class FakeSes(FakeHttp):
    """SendEmail of the SES v2 API; botocore checks the call's shape by the service's own model before it leaves."""

    path = "/v2/email/outbound-emails"
    REFUSALS = {  # noqa: RUF012 - never changed
        Play.REFUSE: (400, "MessageRejected"),
        Play.BUSY: (503, "ServiceUnavailable"),
        Play.LOCK_OUT: (403, "InvalidClientTokenId"),
        Play.HANG_UP: (500, "InternalFailure"),
    }

    def transport(self, port: int) -> Transport:
        return Ses(ses_client("us-east-1", CONNECTIONS, TIMEOUT_S, f"http://{HOST}:{port}"), CONNECTIONS)

    def written(self, mail: EmailQueued) -> bytes:
        return compose(mail, {})

    def answered(self, request: web.Request, call: Any) -> web.Response:
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256")
        if self.play is not Play.TAKE:
            status, code = self.REFUSALS[self.play]
            return web.json_response({"message": "no"}, status=status, headers={"x-amzn-ErrorType": code})
        raw = base64.b64decode(call["Content"]["Raw"]["Data"], validate=True)
        assert raw.isascii(), "SES takes 7-bit mail"
        for recipient in call["Destination"]["ToAddresses"]:
            self.taken.append((recipient, subject_of(raw)))
        return web.json_response({"MessageId": "ses-1"})


SERVERS: dict[str, Callable[[], FakeServer]] = {"smtp": FakeSmtp, "sendgrid": FakeSendGrid, "ses": FakeSes}
