"""From a sound request to what each recipient gets."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from streams.domain.addresses import address_hash
from streams.domain.compose import compose
from streams.domain.ids import message_id, request_email_id
from streams.domain.outgoing.check import Checked, check
from streams.domain.outgoing.expansion import Facts, expand, gap_warnings
from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.request import parse_request
from streams.domain.outgoing.sendto import targets
from streams.domain.outgoing.unsubscribe import read_token
from streams.events import Person, RecipientSkipped
from tests.services.outgoing import KEYRING, NOW, document, expanded

EVERYBODY = "send_to_self_and_guardian_and_emergency"


def test_the_fields_of_a_mail_in_their_order() -> None:
    found = expanded(document("ann", sender="x@learningu.org", reply_to="r@s.org", special_headers={"X-Note": " n ", "References": " "}))
    email = found.queued[0]
    assert [header.name for header in found.first.headers] == [
        "From", "To", "Subject", "Date", "Message-ID", "Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Feedback-ID", "X-Note",
    ]  # fmt: skip
    values = {header.name: header.value for header in found.first.headers}
    assert values["Date"] == "Sat, 21 Nov 2026 00:00:00 +0000"
    assert email.message_id == values["Message-ID"] == message_id(email.email_id, "yale.learningu.org")
    assert (values["X-Note"], values["List-Id"]) == ("n", "<announcements.yale.learningu.org>")
    assert (email.email_id, email.attempt, email.max_attempts) == (request_email_id("7", "1", "ann@x.org"), 1, 3)


def test_urgent_mail_is_of_no_list_but_can_be_unsubscribed_from() -> None:
    names = [header.name for header in expanded(document("ann", priority="urgent")).first.headers]
    assert "List-Id" not in names
    assert "List-Unsubscribe" in names


def test_no_reply_to_where_the_sender_is_named_or_the_creator_has_no_address() -> None:
    for changes in ({"sender": "x@learningu.org"}, {"creator": {"user_id": "9", "email": "none"}}):
        assert "Reply-To" not in [header.name for header in expanded(document("ann", **changes)).first.headers]


def test_each_address_has_its_own_unsubscribe_link_in_header_and_text() -> None:
    found = expanded(document("ann", send_to=EVERYBODY, body="{{ user.unsubscribe_link }}"))
    for email, address in zip(found.queued, ("ann@x.org", "gina@x.org", "emmy@x.org"), strict=True):
        headers = {header.name: header.value for header in email.content.headers}  # type: ignore[union-attr]  # composed
        assert headers["List-Unsubscribe"] == f"<{email.content.text}>"  # type: ignore[union-attr]  # composed
        said = read_token(KEYRING, headers["List-Unsubscribe"][1:-1].rpartition("/")[2])
        assert (said.address_hash, said.purpose, said.email_id) == (address_hash(address), "request", email.email_id)


def test_a_suppressed_address_is_skipped_with_the_reason() -> None:
    found = expanded(document("ann", send_to=EVERYBODY), suppressed={address_hash("GINA@x.org"): "unsubscribed on 2026-11-01"})
    assert [email.recipient for email in found.queued] == ["ann@x.org", "emmy@x.org"]
    assert [(skip.reason, skip.detail) for skip in found.skipped] == [("suppressed", "unsubscribed on 2026-11-01")]


def test_a_person_who_gets_nothing_has_one_line_that_says_everything() -> None:
    contact = {"first_name": "G", "last_name": "L", "email": "worse"}
    found = expanded(document({"user_id": "1", "email": "bad", "guardian": contact}, send_to="send_to_self_and_guardian"))
    assert [(skip.to, skip.reason) for skip in found.skipped] == [("bad", "invalid_address")]
    assert found.skipped[0].detail == (
        "bad: 'bad' is no address: it needs something@domain; \"G L\" <worse>: 'worse' is no address: it needs something@domain"
    )


def test_an_invalid_address_beside_a_good_one_has_its_own_line() -> None:
    contact = {"first_name": "G", "last_name": "L", "email": "g@x.org"}
    found = expanded(document({"user_id": "1", "email": "bad", "guardian": contact}, send_to="send_to_self_and_guardian"))
    assert ([email.recipient for email in found.queued], [skip.reason for skip in found.skipped]) == (["g@x.org"], ["invalid_address"])


def test_one_recipient_whose_mail_cannot_be_made_hurts_nobody_else() -> None:
    people = [{"user_id": str(n), "email": f"u{n}@x.org", "variables": {"n": n}} for n in range(3)]
    found = expanded(document(*people, body="{{ 10|divisibleby:n }}"))
    assert [email.recipient for email in found.queued] == ["u1@x.org", "u2@x.org"]
    assert [(skip.user_id, skip.reason) for skip in found.skipped] == [("0", "render_failed")]
    assert "ZeroDivisionError" in found.skipped[0].detail


def test_variables_of_another_making_hurt_only_their_person() -> None:
    request = parse_request(document("ann", "bob", "cy"), NOW).request
    people = [replace(person, variables=text) for person, text in zip(request.recipients, ("[]", "{", "{}"), strict=True)]
    checked = check(replace(request, recipients=people), NOW)
    assert isinstance(checked, Checked)
    lines = list(expand(checked, Facts(lambda _: None, KEYRING), NOW))
    assert [getattr(line, "reason", "queued") for line in lines] == ["render_failed", "render_failed", "queued"]


@pytest.mark.parametrize("email", ['"a<b>"@x.org', '"a,b"@x.org', '"a\\",b"@x.org', "\u00fcn\u00ef@b\u00fccher.example"])
@pytest.mark.parametrize("name", ["", "Ann", 'a"b', "\u00e9" * 300])
def test_what_is_queued_can_be_written(email: str, name: str) -> None:
    found = expanded(document({"user_id": "1", "email": email, "first_name": name}))
    assert b"\r\nTo: " in compose(found.queued[0], {})


@pytest.mark.parametrize("email", ["a@1.2.3.4", "a@x.1"])
def test_a_domain_that_ends_in_a_number_is_none(email: str) -> None:
    assert [skip.reason for skip in expanded(document({"user_id": "1", "email": email})).skipped] == ["invalid_address"]


def test_a_request_is_due_when_it_is_there_however_early_it_might_have_been() -> None:
    """Not before a moment that was long past when it was made: it lives a week from then."""
    early = document("ann", not_before="2026-11-01T10:00:00Z")
    assert expanded(early).queued[0].expires_at == expanded(document("ann")).queued[0].expires_at


@pytest.mark.parametrize("email", ["a\u2028b@x.org", "a\u3000b@x.org", '"a\u2029"@x.org', '"a\x85b"@x.org', "\u00a0.a@x.org"])
def test_no_space_but_a_plain_one_in_quotes_stands_in_an_address(email: str) -> None:
    assert [skip.reason for skip in expanded(document({"user_id": "1", "email": email})).skipped] == ["invalid_address"]


def test_a_link_to_an_account_is_not_mailed_under_another_name_either() -> None:
    body = "{% with u=user %}[{{ u.recover_url }}]{% endwith %}{% for name, value in user.items %}{{ value }}{% endfor %}"
    variables = {"user": {"recover_url": "https://x.org/secret", "recover_query": "secret"}}
    assert "secret" not in expanded(document("ann", body=body, variables=variables)).first.text


def test_null_as_html_is_no_value() -> None:
    variables = {"program": {"schedule": {"html": None}}, "map": {"html": None}}
    found = expanded(document("ann", body="[{{ program.schedule }}{{ map }}{{ map|default:'-' }}]", variables=variables))
    assert (found.first.text, set(found.gaps)) == ("[-]", {"program.schedule", "map"})


def test_a_subject_of_several_lines_becomes_one() -> None:
    person = {"user_id": "1", "first_name": "Ann\r\nBcc: x@y.org", "email": "a@x.org"}
    found = expanded(document(person, subject=" For {{ user.name }}\u2028 \t!"))
    assert found.queued[0].subject == "For Ann Bcc: x@y.org !"
    assert found.first.headers[1].value == '"Ann Bcc: x@y.org" <a@x.org>'


def test_a_subject_beyond_measure_is_that_recipients_fault() -> None:
    found = expanded(document("ann", {"user_id": "2", "email": "b@x.org", "first_name": "n" * 300}, subject="{{ user.name }}" * 10))
    assert [skip.detail for skip in found.skipped] == ["the subject is 3000 characters long; 2000 are allowed"]


def test_recipient_variables_lie_over_the_requests() -> None:
    person = {
        "user_id": "1",
        "email": "a@x.org",
        "variables": {"program": {"date": "today"}, "note": 2, "request": {"id": "x"}, "user": {"name": "Eve"}},
    }
    body = "{{ program.date }} {{ program.motto }} {{ note }} {{ request.id }} [{{ user.name }}]"
    found = expanded(document(person, body=body, variables={"program": {"date": "never", "motto": "Learn"}, "note": {"html": "<b>"}}))
    assert found.first.text == "today Learn 2 7 []"


def test_gaps_are_counted_for_the_author() -> None:
    found = expanded(document("ann", "bob", body="{{ program.full_classes }}{{ program.receipt }}", subject="{{ program.receipt }}"))
    assert sorted(gap_warnings(found.gaps)) == [
        "program.full_classes has no value in 2 mails and is left empty there",
        "program.receipt has no value in 2 mails and is left empty there",
    ]


def test_an_address_is_mailed_once_only_where_no_text_differs() -> None:
    def reasons(changes: dict[str, Any], values: dict[str, Any] | None = None) -> list[str]:
        people = [{"user_id": str(n), "email": "a@x.org", "variables": values or {}} for n in range(2)]
        return [skip.reason for skip in expanded(document(*people, **changes)).skipped]

    assert reasons({"body": "{{ program.date }}"}) == ["duplicate"]
    assert reasons({"body": "{{ program.date }}"}, {"program": {"date": "x"}}) == []
    assert reasons({"body": "{% for k, v in program.items %}{{ v }}{% endfor %}"}, {"program": {"full_classes": "x"}}) == []
    assert reasons({"body": "{{ deadline }}"}, {"deadline": "x"}) == []
    assert reasons({"subject": "{{ user.username }}"}) == []


def test_the_first_who_gets_the_mail_is_not_one_who_is_skipped() -> None:
    people: list[dict[str, Any]] = [
        {"user_id": "1", "email": "a@x.org", "active": False},
        {"user_id": "2", "email": "A@x.org"},
        {"user_id": "3", "email": "a@X.org"},
    ]
    found = expanded(document(*people))
    assert [email.user_id for email in found.queued] == ["2"]
    assert [(skip.user_id, skip.reason) for skip in found.skipped] == [("1", "inactive"), ("3", "duplicate")]


def test_html_is_made_fit_to_send() -> None:
    body = "<html><style>p{color:red}</style><p>Hi {{ user.first_name }}</p>{{ note }}</html>"
    note = {"html": '<a href="/x">x</a><img src="data:image/gif;base64,AA">'}
    found = expanded(
        document({"user_id": "1", "first_name": "<Ann>", "email": "a@x.org"}, body=body, variables={"note": note}, inline_css=True)
    )
    assert '<p style="color: red;">Hi &lt;Ann&gt;</p><a href="https://yale.learningu.org/x">x</a></body>' in (found.first.html or "")
    assert found.first.text == "Hi <Ann>\n\nx (https://yale.learningu.org/x)"


def test_the_envelope_sender_may_name_the_email() -> None:
    email = expanded(document("ann"), policy=Policy(verp=True, attempts=6)).queued[0]
    assert email.envelope_from == f"emailbounces+{email.email_id}@learningu.org"
    assert email.max_attempts == 6


def test_a_long_detail_is_cut() -> None:
    person = Person("1", "", "", "", "x" * 900 + "@" + "y" * 5000)
    request = replace(parse_request(document(), NOW).request, recipients=[person])
    checked = check(request, NOW)
    assert isinstance(checked, Checked)
    (skip,) = expand(checked, Facts(lambda _: None, KEYRING), NOW)
    assert isinstance(skip, RecipientSkipped)
    assert len(skip.detail) <= 1000
    assert json.dumps(skip.to)


def test_expansion_keeps_no_mail() -> None:
    people = [{"user_id": str(n), "email": f"u{n % 1000}@x.org", "first_name": "Ann"} for n in range(3000)]
    request = parse_request(document(*people, body="Dear {{ user.name }}, " + "x" * 2000), NOW).request
    checked = check(request, NOW)
    assert isinstance(checked, Checked)
    tracemalloc.start()
    try:
        assert sum(1 for _ in expand(checked, Facts(lambda _: None, KEYRING), NOW)) == 3000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_row_23_no_components_are_no_addresses() -> None:
    person = parse_request(document("ann"), NOW).request.recipients[0]
    assert targets(person, ()) == []


def test_row_80_expanding_again_makes_the_same_events() -> None:
    request = document("ann", "eve", "dee", "ina", send_to=EVERYBODY, body="<html>{{ user.name }} {% now 'H:i:s' %}</html>")
    assert expanded(request) == expanded(request)
