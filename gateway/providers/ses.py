"""Amazon SES as a transport; `message` is the whole mail, as for SMTP. boto3 blocks, so its calls run in threads of their own.

Behind others' work in asyncio's few, a mail would be offered long after it was asked whether it still may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from gateway.providers.resting import Door
from gateway.smtp_out import Envelope, Spoken, Withheld
from streams.domain.delivery import Fault, Phase, Reply
from streams.domain.ses import arguments, refusal

UNVERIFIED = "CERTIFICATE_VERIFY_FAILED"  # of all that TLS may say, what it says before anything is sent


def ses_client(region: str, connections: int, timeout_s: float, endpoint: str | None = None) -> Any:
    """A client that asks once: SES knows no idempotency token, so boto3's own retries would make doubles."""
    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=timeout_s,
        read_timeout=10 * timeout_s,
        max_pool_connections=connections,
    )
    return boto3.client("sesv2", region_name=region, endpoint_url=endpoint, config=config)


class Ses:
    """`client` as ses_client makes it; at most `connections` calls at once. Bounces go to the envelope's sender."""

    def __init__(self, client: Any, connections: int, configuration_set: str = "") -> None:
        self._client = client
        self._slots = asyncio.Semaphore(connections)
        self._threads = ThreadPoolExecutor(connections, "ses")
        self._configuration_set = configuration_set
        self._door = Door()

    async def available(self, patience_s: float) -> Spoken | None:
        return await self._door.open(patience_s)

    async def deliver(
        self, envelope: Envelope, message: bytes, may_offer: Callable[[], Awaitable[bool]], may_finish: Callable[[], bool]
    ) -> tuple[Spoken, str]:
        call = arguments(envelope.sender, envelope.recipient, message, self._configuration_set)
        async with self._slots:
            if not (await may_offer() and may_finish()):
                raise Withheld
            spoken = await asyncio.get_running_loop().run_in_executor(self._threads, self._send, call)
            return self._door.heard(spoken), self._client.meta.endpoint_url

    async def close(self) -> None:
        self._client.close()
        self._threads.shutdown(wait=False)

    def _send(self, call: dict[str, Any]) -> Spoken:
        try:
            taken = self._client.send_email(**call)
        except ClientError as error:
            told = error.response
            status = told["ResponseMetadata"]["HTTPStatusCode"]
            return Spoken(*refusal(told["Error"]["Code"], status, told["Error"]["Message"]))
        except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
            return Spoken(Phase.CONNECT, Fault("unreachable", str(error)))
        except ReadTimeoutError as error:
            return Spoken(Phase.DOT, Fault("timeout", str(error)))
        except SSLError as error:
            return Spoken(Phase.TLS if UNVERIFIED in str(error) else Phase.DOT, Fault("tls", str(error)))
        except (HTTPClientError, ResponseParserError) as error:
            return Spoken(Phase.DOT, Fault("disconnected", str(error)))
        except BotoCoreError as error:  # credentials that are missing or cannot be had, settings: nothing was asked yet
            return Spoken(Phase.AUTH, Reply(535, f"5.7.8 {error}"))
        if not taken.get("MessageId"):
            return Spoken(Phase.DOT, Fault("protocol", "no message id in the answer"))
        return Spoken(Phase.DOT, Reply(250, f"2.0.0 {taken['MessageId']}"))
