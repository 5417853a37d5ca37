"""Mail to a bounces address: whose it is, and what reading it leads to (spec 8, row 52)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams import codec, topics
from streams.agents.bounce import read_bounce
from streams.agents.feedback import suppression_of
from streams.domain.addresses import address_hash
from streams.domain.outgoing.unsubscribe import make_token, unsubscribe_url
from streams.domain.verp import is_for_bounces, verp
from streams.events import EmailBounced, EmailComplained, InboundMailReceived
from tests.services.gateway import ROW
from tests.services.outgoing import KEYRING
from tests.unit.test_bounces import dsn

AT = datetime(2026, 11, 20, tzinfo=UTC)
ID = "3b1f0a9e-1111-5222-8333-000000000001"
ANN = address_hash("ann@x.org")
OUR_LINK = f"List-Unsubscribe: <{unsubscribe_url('yale.learningu.org', make_token(KEYRING, ANN, 'request', ID))}>"
GONE = ("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 5.1.1")


def mail(content: bytes) -> InboundMailReceived:
    return InboundMailReceived("i1", AT, "", verp(ROW.bounces, ID), content, None, "127.0.0.1", "mx", "smtp")


@pytest.mark.parametrize(
    ("address", "is_bounces"),
    [
        ("emailbounces@learningu.org", True),
        ("EMAILBOUNCES@LEARNINGU.ORG", True),
        ("<emailbounces@learningu.org>", True),
        (verp(ROW.bounces, ID), True),
        ("emailbounces+anything@learningu.org", True),
        ("emailbounces2@learningu.org", False),
        ("info@learningu.org", False),
        ("emailbounces@yale.learningu.org", False),
        ("emailbounces", False),
        ("", False),
        ("\ud800@learningu.org", False),
    ],
)
def test_which_mail_is_for_the_bounces_address(address: str, is_bounces: bool) -> None:
    assert is_for_bounces(address, [ROW]) is is_bounces


def test_without_a_site_nothing_is() -> None:
    assert not is_for_bounces("emailbounces@learningu.org", [])


def test_52_a_returned_mail_of_ours_suppresses_its_address() -> None:
    content = dsn(*GONE, returned=OUR_LINK)
    read = read_bounce(mail(content), content, KEYRING, "t")
    (record,) = read.records
    event = codec.decode(record.value)
    assert read.reason == "bounce_read"
    assert (record.topic, record.key, record.trace) == (topics.FEEDBACK, ANN.encode(), "t")
    assert event == EmailBounced("i1", AT, ID, ANN, "hard", "5.1.1", "", "dsn")
    state = suppression_of(event)
    assert state is not None
    assert (state.address_hash, state.purpose, state.suppressed) == (ANN, "*", True)


def test_52_a_report_without_our_link_is_told_of_the_email_and_suppresses_nobody() -> None:
    content = dsn(*GONE)
    (record,) = read_bounce(mail(content), content, KEYRING, "t").records
    event = codec.decode(record.value)
    assert (record.key, event.email_id, event.address_hash) == (ID.encode(), ID, "")


def test_a_complaint_has_its_own_reason() -> None:
    content = (
        b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
        b"Feedback-Type: abuse\r\n\r\n--b--\r\n"
    )
    read = read_bounce(mail(content), content, KEYRING, "t")
    assert (read.reason, [type(codec.decode(record.value)) for record in read.records]) == ("complaint_read", [EmailComplained])


@pytest.mark.parametrize("content", [b"", b"Subject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away\r\n", b"\xff\x00" * 50])
def test_what_reports_nothing_is_dropped_with_that_reason(content: bytes) -> None:
    assert read_bounce(mail(content), content, KEYRING, "t").reason == "no_report"


def test_the_same_mail_again_says_the_same() -> None:
    content = dsn(*GONE, returned=OUR_LINK)
    assert read_bounce(mail(content), content, KEYRING, "t") == read_bounce(mail(content), content, KEYRING, "t")
