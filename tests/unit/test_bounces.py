"""Reports to the bounces address: which mail, which address, how bad; and that nobody can harm us by one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.addresses import address_hash
from streams.domain.bounces import read_report
from streams.domain.outgoing.unsubscribe import Keyring, make_token, unsubscribe_url
from streams.domain.verp import read_verp, verp
from streams.events import EmailBounced, EmailComplained

AT = datetime(2026, 11, 20, tzinfo=UTC)
ID = "3b1f0a9e-1111-5222-8333-000000000001"
KEYS = Keyring((b"k" * 32,))
ANN = address_hash("ann@x.org")
LINK = f"List-Unsubscribe: <{unsubscribe_url('yale.learningu.org', make_token(KEYS, ANN, 'request', ID))}>"
VERP = f"emailbounces+{ID}@learningu.org"


def dsn(*lines: str, returned: str = "", end: str = "\r\n") -> bytes:
    """A report in the shape of RFC 3464, with these lines about its one recipient."""
    text = (
        "From: MAILER-DAEMON@mx.x.org\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n'
        "Message-ID: <00000000-0000-0000-0000-00000000dead@mx.x.org>\n\n--b\nContent-Type: text/plain\n\nSorry.\n\n--b\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.x.org\n\n" + "\n".join(lines) + "\n\n"
        f"--b\nContent-Type: text/rfc822-headers\n\n{returned}\n--b--\n"
    )
    return text.replace("\n", end).encode()


def fbl(kind: str, *lines: str) -> bytes:
    """An abuse report in the shape of RFC 5965."""
    return (
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
        "--b\r\nContent-Type: message/feedback-report\r\n\r\n"
        + "\r\n".join((f"Feedback-Type: {kind}", "User-Agent: x/1", "Version: 1", *lines))
        + f"\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{LINK}\r\n\r\nHi\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("lines", "kind", "status"),
    [
        (("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 5.1.1"), "hard", "5.1.1"),
        (("Final-Recipient: rfc822;ann@x.org", "Action: FAILED", "Status: 5.2.2 (mailbox full)"), "soft", "5.2.2"),
        (("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 5.0.0", "Diagnostic-Code: smtp; 550 5.1.1 no"), "hard", "5.0.0"),
        (
            ("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 5.0.0", "Diagnostic-Code: smtp; 550-no such\n user"),
            "hard",
            "5.0.0",
        ),
        (
            ("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 5.7.1", "Diagnostic-Code: smtp; 550 5.7.1 spam"),
            "soft",
            "5.7.1",
        ),
        (("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 4.4.7"), "soft", "4.4.7"),
        (("Final-Recipient: rfc822; ann@x.org", "Status: 5.1.10"), "hard", "5.1.10"),
        (("Original-Recipient: rfc822; ann@x.org", "Final-Recipient: x400; /S=ann/", "Action: failed"), "soft", ""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_failure_is_read(lines: tuple[str, ...], kind: str, status: str, end: str) -> None:
    report = read_report("i1", VERP, dsn(*lines, end=end), AT, KEYS)
    assert isinstance(report, EmailBounced)
    assert (report.email_id, report.kind, report.status, report.source) == (ID, kind, status, "dsn")
    assert report.address_hash == "", "anyone can write that an address is dead"
    assert report.feedback_id == "i1"
    assert report.diagnostic.isprintable()


@pytest.mark.parametrize(
    "lines",
    [
        ("Final-Recipient: rfc822; ann@x.org", "Action: delayed", "Status: 4.4.1"),
        ("Final-Recipient: rfc822; ann@x.org", "Action: delivered", "Status: 2.0.0"),
        ("Final-Recipient: rfc822; ann@x.org", "Action: relayed"),
        ("Final-Recipient: rfc822; ann@x.org", "Status: 4.2.2"),
        ("Action: failed", "Status: 5.1.1"),
        (),
    ],
)
def test_what_is_no_failure_reports_nothing(lines: tuple[str, ...]) -> None:
    assert read_report("i1", VERP, dsn(*lines), AT, KEYS) is None


def test_without_verp_the_returned_message_id_names_the_mail_and_the_reports_own_does_not() -> None:
    lines = ("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 5.1.1")
    named = read_report(
        "i1", "emailbounces@learningu.org", dsn(*lines, returned=f"Subject: x\nMessage-ID:\n <{ID}@yale.learningu.org>\n"), AT, KEYS
    )
    assert isinstance(named, EmailBounced)
    assert named.email_id == ID
    nameless = read_report("i1", "emailbounces@learningu.org", dsn(*lines, returned="Message-ID: <abc@yale.learningu.org>\n"), AT, KEYS)
    assert isinstance(nameless, EmailBounced)
    assert nameless.email_id is None


@pytest.mark.parametrize("kind", ["abuse", "Fraud", "virus", "other", "opt-out"])
def test_a_complaint_is_read(kind: str) -> None:
    report = read_report("i1", "fbl@learningu.org", fbl(kind, "Original-Rcpt-To: <ann@x.org>"), AT, KEYS)
    assert report == EmailComplained("i1", AT, ID, ANN, "fbl")


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "", "dunno"])
def test_praise_is_no_complaint(kind: str) -> None:
    assert read_report("i1", VERP, fbl(kind), AT, KEYS) is None


@pytest.mark.parametrize(
    "content",
    [
        b"From: ann@x.org\r\nSubject: Re: Splash\r\n\r\nThank you, see you on Saturday!\r\n",
        b"From: ann@x.org\r\nAuto-Submitted: auto-replied\r\nSubject: Away\r\n\r\nI am on holiday until Monday.\r\n",
        b"",
    ],
)
def test_a_person_who_answers_is_no_bounce(content: bytes) -> None:
    assert read_report("i1", VERP, content, AT, KEYS) is None


def test_the_signed_link_of_the_returned_mail_proves_whose_it_was() -> None:
    lines = ("Final-Recipient: rfc822; forwarded@elsewhere.org", "Action: failed", "Status: 5.1.1")
    proven = read_report("i1", "x@d.org", dsn(*lines, returned=f"Subject: x\n{LINK}\n"), AT, KEYS)
    assert isinstance(proven, EmailBounced)
    assert (proven.email_id, proven.address_hash) == (ID, ANN)


@pytest.mark.parametrize(
    "returned",
    [
        LINK.replace("unsubscribe/A", "unsubscribe/B"),
        f"Subject: x\n\nYou wrote: {LINK}",
        f"Subject: x\n\n> {LINK}",
        "List-Unsubscribe: <https://yale.learningu.org/unsubscribe/x>",
    ],
)
def test_no_other_link_proves_anything(returned: str) -> None:
    assert returned != LINK
    report = read_report("i1", VERP, dsn("Final-Recipient: rfc822; ann@x.org", "Action: failed", returned=returned), AT, KEYS)
    assert isinstance(report, EmailBounced)
    assert (report.email_id, report.address_hash) == (ID, "")


HOSTILE = (
    b"Content-Type: text/plain" + b";" * 60_000,
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * 50_000,
    b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000)),
    b"Content-Type: message/rfc822\r\n\r\n" * 2000,
    b"From: " + b"(" * 60_000,
    b"Message-ID: <<<\r\n\r\n",
    b"Content-Type: message/delivery-status\r\n\r\n" + b"\n \n" * 100_000,
    b"Content-Type: message/delivery-status\r\n\r\n" + b"Final-Recipient: rfc822; a@b.c\r\n\r\n" * 100_000,
    b"\n" * 1_000_000,
    b"\n ;" * 300_000,
    b"550 " * 100_000,
)


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_report_is_read_or_left(content: bytes) -> None:
    report = read_report("i1", VERP, content, AT, KEYS)
    assert report is None or isinstance(report, EmailBounced)


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_left(content: bytes) -> None:
    assert read_report("i1", "x", content, AT, KEYS) is None or content


@given(
    st.lists(
        st.sampled_from(
            [b"Final-Recipient: ", b"rfc822; a@b.c", b"Action: ", b"failed", b"Status: 5", b"\r\n", b"\n", b" ", b";", b"--", b"\xff"]
        ),
        max_size=40,
    )
)
def test_any_report_part_is_read_or_left(pieces: list[bytes]) -> None:
    report = read_report("i1", VERP, b"Content-Type: message/delivery-status\r\n\r\n" + b"".join(pieces), AT, KEYS)
    assert report is None or (isinstance(report, EmailBounced) and report.email_id == ID)


@pytest.mark.parametrize("bounces", ["emailbounces@learningu.org", "b@x.y"])
def test_a_return_path_names_its_mail(bounces: str) -> None:
    address = verp(bounces, ID)
    assert address == bounces.replace("@", f"+{ID}@")
    assert read_verp(address) == ID
    assert read_verp(f" <{address.upper()}> ") == ID


@pytest.mark.parametrize(
    "address", ["", "emailbounces@learningu.org", "a+b@c.d", f"+{ID}@c.d", f"a+{ID}", f"a+b+{ID}@c.d", f"a+{ID}x@c.d", f"a@b+{ID}@c.d"]
)
def test_other_addresses_name_none(address: str) -> None:
    assert read_verp(address) is None


def test_a_bounces_address_that_cannot_carry_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="27 characters may stand"):
        verp("b" * 28 + "@learningu.org", ID)
    with pytest.raises(ValueError, match="no address"):
        verp("learningu.org", ID)
