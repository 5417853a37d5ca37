"""The failure report of a request, all the way: from a refusal on the wire to the mail that its sender reads (spec 4.8)."""

from __future__ import annotations

import email
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.services.installation import Installation, installed
from tests.services.outgoing import document
from tests.services.sink import At, Sink, running_sink

pytestmark = pytest.mark.broker


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink(Sink(extensions=["8BITMIME", "SMTPUTF8"])) as one:
        yield one


@pytest.fixture
def installation(kafka: Settings, tmp_path: Path, sink: Sink) -> Iterator[Installation]:
    with installed(kafka, tmp_path, mta_port=sink.port) as one:
        yield one


def test_96_97_a_refusal_is_told_to_the_requests_own_people_once(installation: Installation, sink: Sink) -> None:
    sink.script("ann@x.org", At("RCPT", b"550 5.1.1 <ann@x.org>: no such user\r\n"))
    installation.submit(document("ann", "cy", request_id="r1", created_at=None, subject="Hi & bye"))
    installation.finished("r1")
    assert {row["recipient"]: row["status"] for row in installation.emails("r1")} == {"ann@x.org": "failed", "cy@x.org": "sent"}
    readers = ["ada@x.org", "emailbounces@learningu.org"]
    installation.until(lambda: all(sink.copies(reader) for reader in readers), "both have the report")
    installation.kill("project")
    installation.submit(document("cy", request_id="r2", created_at=None))
    installation.finished("r2")
    for reader in readers:
        (report,) = sink.copies(reader)
        assert b"\r\nSubject: Mail delivery failure\r\n" in report
        assert b'* Hi & bye to "Ann Lee" <ann@x.org> (' in report
        assert b"550 5.1.1 <ann@x.org>: no such user" in report


def test_84_what_expired_is_told_with_the_servers_last_words(installation: Installation, sink: Sink) -> None:
    sink.script("ann@x.org", At("RCPT", b"451 4.7.1 come back tomorrow\r\n"))
    soon = datetime.now(UTC) + timedelta(seconds=30)  # before the next attempt
    installation.submit(document("ann", request_id="r3", created_at=None, expires_at=soon.isoformat()))
    installation.finished("r3")
    (row,) = installation.emails("r3")
    assert (row["status"], row["last_reply"]) == ("expired", "451 4.7.1 come back tomorrow")
    installation.until(lambda: sink.copies("ada@x.org"), "the report has come")
    assert b"expired after 1 attempt: 451 4.7.1 come back tomorrow" in unfolded(sink.copies("ada@x.org")[0])


def unfolded(mail: bytes) -> bytes:
    return email.message_from_bytes(mail).get_payload(decode=True)  # type: ignore[return-value] # of one part it is bytes
