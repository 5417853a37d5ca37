"""What is said to SendGrid and SES about an email, and what their answers mean (spec 5.7; example 64)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain import sendgrid, ses
from streams.domain.delivery import Reply, judge
from streams.events import Attachment, ClaimCheck, Composed, EmailQueued, Header, Relayed
from tests.services.example import MAIL as EXAMPLE

HEADERS = [
    Header("From", "Yale Splash <info@yale.learningu.org>"),
    Header("To", '"Ann Lee" <ann@x.org>'),
    Header("Subject", "Hi"),
    Header("Reply-To", '"N M" <r@s.t>'),
    Header("Message-ID", "<e1@yale.learningu.org>"),
    Header("List-Unsubscribe", "<https://yale.learningu.org/u>"),
    Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    Header("X-Note", "für Ann"),
]
MAIL = replace(EXAMPLE, purpose="request", content=Composed(HEADERS, "Hi Ann", "<html>Hi Ann</html>", []))


def said(mail: EmailQueued, files: dict[str, bytes] | None = None) -> Any:
    return json.loads(sendgrid.payload(mail, files or {}))


def with_header(name: str, value: str) -> EmailQueued:
    headers = [header if header.name != name else Header(name, value) for header in HEADERS]
    return replace(MAIL, content=Composed(headers, "", None, []))


def test_64_reply_to_list_headers_and_no_tracking() -> None:
    call = said(MAIL)
    assert call["reply_to"] == {"name": "N M", "email": "r@s.t"}
    assert call["from"] == {"name": "Yale Splash", "email": "info@yale.learningu.org"}
    person = call["personalizations"][0]
    assert person["to"] == [{"name": "Ann Lee", "email": "ann@x.org"}]
    assert person["headers"] == {
        "Message-ID": "<e1@yale.learningu.org>",
        "List-Unsubscribe": "<https://yale.learningu.org/u>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "X-Note": "=?utf-8?q?f=C3=BCr_Ann?=",
    }
    assert person["custom_args"] == {"email_id": "e1"}
    assert call["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert not call["tracking_settings"]["open_tracking"]["enable"]
    assert [part["type"] for part in call["content"]] == ["text/plain", "text/html"]


def test_an_empty_text_becomes_a_space() -> None:
    call = said(replace(with_header("Reply-To", ""), subject=""))
    assert call["content"] == [{"type": "text/plain", "value": " "}]
    assert call["personalizations"][0]["subject"] == " "
    assert "reply_to" not in call


def test_several_reply_addresses_have_their_own_list() -> None:
    assert said(with_header("Reply-To", "a@b.c, D <d@e.f>"))["reply_to_list"] == [{"email": "a@b.c"}, {"email": "d@e.f", "name": "D"}]


def test_the_recipient_is_the_envelopes_whatever_to_says() -> None:
    call = said(replace(MAIL, recipient="gina@bücher.example", to="ann@x.org"))
    assert call["personalizations"][0]["to"] == [{"email": "gina@xn--bcher-kva.example"}]


def test_files_go_along() -> None:
    files = [
        Attachment("a.png", "image/png", "c1", ClaimCheck("k", "", 1)),
        Attachment("b.pdf", "application/pdf", None, ClaimCheck("k", "", 1)),
    ]
    call = said(replace(MAIL, content=Composed(HEADERS, "t", None, files)), {"k": b"x"})
    assert call["attachments"] == [
        {"content": "eA==", "type": "image/png", "filename": "a.png", "disposition": "inline", "content_id": "c1"},
        {"content": "eA==", "type": "application/pdf", "filename": "b.pdf", "disposition": "attachment"},
    ]


def test_somebody_elses_mail_cannot_go_this_way() -> None:
    with pytest.raises(ValueError, match="relay it by SMTP"):
        sendgrid.payload(replace(MAIL, content=Relayed(b"", b"", None, 0)), {})


RECIPIENT_FAULT = b'{"errors":[{"message":"Does not contain a valid address.","field":"personalizations.0.to.0.email"}]}'


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason", "whole_server"),
    [
        (202, b"", "sent", "accepted", False),
        (400, b'{"errors":[{"message":"bad","field":"content"}]}', "fail", "content_refused", False),
        (400, RECIPIENT_FAULT, "fail", "address_malformed", False),
        (400, b"{", "fail", "content_refused", False),
        (401, b"", "defer", "server_refuses_us", True),
        (403, b"", "defer", "server_refuses_us", True),
        (403, b'{"errors":[{"message":"access forbidden","field":null}]}', "defer", "server_refuses_us", True),
        (403, b'{"errors":[{"message":"not a verified Sender Identity","field":"from"}]}', "defer", "sender_refused", True),
        (404, b"", "defer", "server_refuses_us", True),
        (413, b"", "fail", "too_big", False),
        (429, b"", "defer", "server_busy", True),
        (500, b"", "defer", "server_busy", False),
        (503, b"", "defer", "server_busy", False),
        (502, b"<html>", "doubt", "protocol_after_dot", False),
        (504, b"", "doubt", "protocol_after_dot", False),
        (201, b"", "doubt", "protocol_after_dot", False),
    ],
)
def test_sendgrids_answer_means(status: int, body: bytes, kind: str, reason: str, whole_server: bool) -> None:
    verdict = judge(*sendgrid.answer(status, body))
    assert (verdict.kind, verdict.reason, verdict.whole_server) == (kind, reason, whole_server)


@given(
    st.integers(0, 999),
    st.binary(max_size=200) | st.sampled_from([b"[" * 50_000, b'{"errors": 1}', b'{"errors": [1]}', b"[]", RECIPIENT_FAULT]),
)
def test_any_answer_of_sendgrid_has_a_meaning(status: int, body: bytes) -> None:
    verdict = judge(*sendgrid.answer(status, body))
    assert (verdict.kind == "sent") == (status in {200, 202})


def test_sendgrids_own_id_stands_in_the_reply() -> None:
    assert judge(*sendgrid.answer(202, b"", "sg-1")).reply == "250 2.0.0 sg-1"


def test_ses_gets_one_recipient_and_a_bounce_address() -> None:
    call = ses.arguments("emailbounces@learningu.org", "ann@bücher.example", b"raw", "set-1")
    assert call == {
        "Destination": {"ToAddresses": ["ann@xn--bcher-kva.example"]},
        "Content": {"Raw": {"Data": b"raw"}},
        "FeedbackForwardingEmailAddress": "emailbounces@learningu.org",
        "ConfigurationSetName": "set-1",
    }
    assert set(ses.arguments("", "ann@x.org", b"raw", "")) == {"Destination", "Content"}


@pytest.mark.parametrize(
    ("code", "status", "words", "kind", "reason", "whole_server"),
    [
        ("MessageRejected", 400, "Illegal content", "fail", "content_refused", False),
        ("MessageRejected", 400, "Email address is not verified.", "defer", "sender_refused", True),
        ("MailFromDomainNotVerifiedException", 400, "", "defer", "sender_refused", True),
        ("AccountSuspendedException", 400, "", "defer", "server_refuses_us", True),
        ("SendingPausedException", 400, "", "defer", "server_busy", True),
        ("TooManyRequestsException", 429, "", "defer", "server_busy", True),
        ("SignatureDoesNotMatch", 403, "", "defer", "server_refuses_us", True),
        ("InternalFailure", 500, "", "defer", "server_busy", False),
        ("SomethingNew", 400, "", "fail", "refused", False),
        ("SomethingNew", 500, "", "doubt", "protocol_after_dot", False),
    ],
)
def test_sess_refusal_means(code: str, status: int, words: str, kind: str, reason: str, whole_server: bool) -> None:
    verdict = judge(*ses.refusal(code, status, words))
    assert (verdict.kind, verdict.reason, verdict.whole_server) == (kind, reason, whole_server)


def test_every_error_that_ses_declares_is_known() -> None:
    import botocore.session

    model = botocore.session.get_session().get_service_model("sesv2").operation_model("SendEmail")
    assert {shape.name for shape in model.error_shapes} <= set(ses.REFUSALS)
    assert all(isinstance(ses.refusal(code, 400, "")[1], Reply) for code in ses.REFUSALS)
