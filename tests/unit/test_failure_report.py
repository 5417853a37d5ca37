"""The failure report (spec 4.8; examples 96 and 97; 8, rows 14 and 60)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from streams.domain.compose import compose
from streams.domain.failure_report import MAX_LINES, Undelivered, failure_report, rejection_report
from streams.domain.states import EmailState
from streams.events import Composed, Creator, EmailQueued, MessageRequest, Site

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
REQUEST = MessageRequest(
    request_id="r1",
    submitted_at=NOW,
    created_at=NOW,
    not_before=None,
    expires_at=None,
    subject="Hi & bye",
    body="Hi",
    sender="Yale Splash <info@yale.learningu.org>",
    reply_to=None,
    special_headers={},
    send_to="",
    priority="bulk",
    public=False,
    dedupe="auto",
    on_doubt="hold",
    inline_css=False,
    needs_approval=False,
    creator=Creator("9", "Ada", "Min", "ada@x.org"),
    site=Site("yale.learningu.org", "Yale Splash", "emailbounces@learningu.org", "websupport@learningu.org"),
    variables="{}",
    attachments=[],
    content_hash="h",
    chunk=1,
    chunks=1,
    recipients_total=3,
    person_variables=[],
    mailed_before=[],
    recipients=[],
)
ANN = Undelivered("5", '"Ann Lee" <ann@x.org>', "Hi & bye", EmailState.FAILED, "mailbox_unknown", "550 5.1.1 <ann@x.org>: no such user", 1)
CY = Undelivered("6", "cy@x.org", "Hi & bye", EmailState.EXPIRED, "expired", "", 0)
COUNTS = {EmailState.SENT: 1, EmailState.FAILED: 1, EmailState.EXPIRED: 1}


def text_of(email: EmailQueued) -> str:
    assert isinstance(email.content, Composed)
    return email.content.text


def test_96_the_report_goes_to_the_requests_own_people_and_the_bounces_address() -> None:
    reports = failure_report(REQUEST, [ANN], COUNTS, NOW)
    assert [report.recipient for report in reports] == ["info@yale.learningu.org", "ada@x.org", "emailbounces@learningu.org"]
    assert {report.envelope_from for report in reports} == {""}
    assert {report.request_id for report in reports} == {None}
    assert len({report.email_id for report in reports}) == 3


def test_97_a_line_has_the_same_facts_unescaped_and_the_servers_words() -> None:
    text = text_of(failure_report(REQUEST, [ANN, CY], COUNTS, NOW)[0])
    assert text == (
        "2 of the 3 mails of your message 'Hi & bye' were not delivered:\n"
        "\n"
        '* Hi & bye to "Ann Lee" <ann@x.org> (5): failed after 1 attempt, mailbox_unknown: 550 5.1.1 <ann@x.org>: no such user\n'
        "* Hi & bye to cy@x.org (6): expired\n"
        "\n"
        "Of all its mails: 1 expired, 1 failed, 1 sent.\n"
        "Request: r1\n"
    )


def test_nothing_failed_nothing_is_told() -> None:
    assert failure_report(REQUEST, [], COUNTS, NOW) == []


def test_written_twice_it_is_one_report() -> None:
    ids = [report.email_id for report in failure_report(REQUEST, [ANN], COUNTS, NOW)]
    assert ids == [report.email_id for report in failure_report(REQUEST, [ANN, CY], COUNTS, NOW.replace(hour=11))]


def test_addresses_that_are_none_or_the_same_are_left_out() -> None:
    request = replace(REQUEST, sender="not an address", creator=Creator("9", "", "", "EMAILBOUNCES@learningu.org"))
    assert [report.recipient for report in failure_report(request, [ANN], COUNTS, NOW)] == ["EMAILBOUNCES@learningu.org"]


def test_a_strangers_words_stay_in_their_line_and_a_million_failures_stay_readable() -> None:
    hostile = replace(ANN, subject="Hi\r\nBcc: x", to="a\nb", reply="550 \x1b[31m\r\n* forged")
    lines = text_of(failure_report(REQUEST, [hostile] * 10_000, {EmailState.FAILED: 10_000}, NOW)[0]).splitlines()
    assert len(lines) == MAX_LINES + 6
    assert lines[2] == "* Hi Bcc: x to a b (5): failed after 1 attempt, mailbox_unknown: 550 [31m * forged"
    assert lines[-4] == "... and 9,500 more."


def test_60_it_is_a_mail_like_any_other() -> None:
    raw = compose(failure_report(REQUEST, [ANN], COUNTS, NOW)[0], {})
    assert raw.startswith(
        b"From: Yale Splash <info@yale.learningu.org>\r\nTo: info@yale.learningu.org, ada@x.org, emailbounces@learningu.org\r\n"
    )
    assert b"\r\nAuto-Submitted: auto-generated\r\n" in raw


def test_84_a_request_that_was_rejected_behind_the_door_is_told_to_its_people() -> None:
    (first, *others) = rejection_report(REQUEST, ["expires_at: its time\r\nran out"], NOW)
    assert [report.recipient for report in (first, *others)] == ["info@yale.learningu.org", "ada@x.org", "emailbounces@learningu.org"]
    assert text_of(first) == "Nobody got your message 'Hi & bye', because:\n\n* expires_at: its time ran out\n\nRequest: r1\n"
    assert compose(first, {})
    assert [report.email_id for report in (first, *others)] == [report.email_id for report in failure_report(REQUEST, [ANN], COUNTS, NOW)]


def test_a_rejection_is_told_to_nobody_who_may_be_what_is_wrong() -> None:
    foreign = replace(REQUEST, sender="somebody@gmail.example")
    assert [report.recipient for report in rejection_report(foreign, ["sender: no"], NOW)] == ["ada@x.org", "emailbounces@learningu.org"]
    nowhere = replace(REQUEST, site=replace(REQUEST.site, domain="no domain"))
    assert rejection_report(nowhere, ["site.domain: no"], NOW) == []
