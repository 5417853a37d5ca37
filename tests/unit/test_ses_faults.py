"""What goes wrong around a call to SES: in doubt only where SES may have the mail."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from gateway.providers.ses import Ses, ses_client
from gateway.smtp_out import Envelope
from streams.domain.delivery import Verdict, judge
from tests.services.certificates import self_signed
from tests.services.ports import HOST, free_ports

URL = "https://email.us-east-1.amazonaws.com"


async def yes() -> bool:
    return True


async def verdict_of(client: Any) -> Verdict:
    spoken, _ = await Ses(client, 1).deliver(Envelope("", "ann@x.org"), b"Subject: hi\r\n\r\n", yes, lambda: True)
    return judge(spoken.phase, spoken.answer)


class Client:
    """One whose call ends like this."""

    meta = type("Meta", (), {"endpoint_url": URL})

    def __init__(self, end: Exception | dict[str, str]) -> None:
        self._end = end

    def send_email(self, **_: Any) -> dict[str, str]:
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (EndpointConnectionError(endpoint_url=URL, error="refused"), "defer"),
        (ProxyConnectionError(proxy_url=URL, error="refused"), "defer"),
        (NoCredentialsError(), "defer"),
        (PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "defer"),
        (CredentialRetrievalError(provider="container-role", error_msg="no answer"), "defer"),
        (BotoCoreError(), "defer"),
        (SSLError(endpoint_url=URL, error="[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"), "defer"),
        (SSLError(endpoint_url=URL, error="[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC]"), "doubt"),
        (ReadTimeoutError(endpoint_url=URL, error="late"), "doubt"),
        (ConnectionClosedError(endpoint_url=URL, error="closed"), "doubt"),
        (HTTPClientError(error="something"), "doubt"),
        (ResponseParserError("no JSON"), "doubt"),
        ({}, "doubt"),  # a 200 that SES did not write
        ({"MessageId": "ses-1"}, "sent"),
    ],
    ids=repr,
)
async def test_it_is_a_doubt_only_where_ses_may_have_the_mail(end: Exception | dict[str, str], kind: str) -> None:
    verdict = await verdict_of(Client(end))
    assert (verdict.kind, verdict.whole_server) == (kind, kind == "defer")


@pytest.fixture
async def disguised(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a server with a certificate that nobody vouches for."""
    tls, port = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), free_ports()
    tls.load_cert_chain(self_signed(tmp_path / "ses.pem", "localhost"))
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, HOST, port, ssl_context=tls).start()
    yield f"https://{HOST}:{port}"
    await runner.cleanup()


async def test_a_server_that_nobody_vouches_for_gets_nothing(disguised: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFAKE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    verdict = await verdict_of(ses_client("us-east-1", 1, 5.0, disguised))
    assert (verdict.kind, verdict.reason, verdict.whole_server) == ("defer", "tls", True)
