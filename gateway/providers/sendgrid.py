"""SendGrid's Web API as a transport; `message` is the JSON of streams/domain/sendgrid.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from gateway.answered import body_of
from gateway.providers.resting import Door
from gateway.smtp_out import Envelope, Spoken, Withheld
from streams.domain.delivery import Fault, Phase
from streams.domain.sendgrid import answer

PATH = "/v3/mail/send"
MAX_ANSWER = 65_536
KEEP_ALIVE_S = 5.0  # a connection that the server closes just as we post on it looks like a doubt


class SendGrid:
    """`url` is the API's without a path, `key` its bearer key; at most `connections` calls at once."""

    def __init__(self, url: str, key: str, connections: int, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._slots = asyncio.Semaphore(connections)
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._door = Door()

    async def available(self, patience_s: float) -> Spoken | None:
        return await self._door.open(patience_s)

    async def deliver(
        self, envelope: Envelope, message: bytes, may_offer: Callable[[], Awaitable[bool]], may_finish: Callable[[], bool]
    ) -> tuple[Spoken, str]:
        del envelope  # the JSON names both ends
        async with self._slots:
            if not (await may_offer() and may_finish()):
                raise Withheld
            return self._door.heard(await self._post(message)), self._url

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, message: bytes) -> Spoken:
        try:
            async with self._open().post(self._url + PATH, data=message, headers=self._headers, allow_redirects=False) as response:
                body = b"" if response.ok else await body_of(response, MAX_ANSWER)  # a yes is one, however the rest of it comes
                return Spoken(*answer(response.status, body, response.headers.get("X-Message-Id", "")))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Spoken(Phase.CONNECT, Fault("unreachable", str(error)))
        except TimeoutError:
            return Spoken(Phase.DOT, Fault("timeout", f"no answer within {10 * self._timeout_s:g} s"))
        except aiohttp.ClientError as error:
            return Spoken(Phase.DOT, Fault("disconnected", str(error)))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # As patient with an answer as SMTP is behind the final dot: giving up early makes doubles.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=10 * self._timeout_s)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S), timeout=timeout)
        return self._session
