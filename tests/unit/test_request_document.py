"""Reading a request document: every fault at once, in the caller's words; ids, defaults, hashes, chunks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streams.codec import encode
from streams.domain.outgoing.check import check
from streams.domain.outgoing.chunks import split_into_chunks
from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.problems import Refused, RequestRefused
from streams.domain.outgoing.request import MAX_BODY, parse_request
from streams.domain.outgoing.templates import MAX_FAULTS
from tests.services.outgoing import NOW, document


def problems_of(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(RequestRefused) as error:
        parse_request(document("ann", **changes), NOW)
    return [str(problem) for problem in error.value.refused.problems]


def test_every_fault_is_named_at_once() -> None:
    found = problems_of({
        "request_id": None,
        "created_at": "2026-11-20",
        "sender": "x@gmail.com",
        "subject": "{{ user.nmae }}",
        "body": "{% include 'x' %}",
        "special_headers": {"Bcc": "x@y.org", "X-Note": 5},
        "priority": 9,
        "recipients": [{"user_id": "1"}, {"username": 7}],
    })  # fmt: skip
    assert found == [
        "created_at: 2026-11-20 has no zone; write 2026-11-20Z if it is UTC",
        "recipients[1].user_id: is missing",
        "recipients[1].username: must be text, not a number",
        "request_id: is missing",
        "special_headers.X-Note: must be text, not a number",
        'priority: must be one of "bulk", "urgent", not 9',
        "special_headers['Bcc']: may not be set; allowed are Reply-To, In-Reply-To, References and X- fields that steer no mail system",
        "sender: x@gmail.com may not be the sender: its domain must be yale.learningu.org, learningu.org or a subdomain of learningu.org",
        "body: line 1, column 1: the tag {% include %} cannot be used here",
    ]


def test_content_faults_are_named_together() -> None:
    found = problems_of({
        "sender": "x@gmail.com",
        "reply_to": "nobody",
        "subject": "{{ user.nmae }}",
        "body": "a\n{% include 'x' %}",
        "special_headers": {"Bcc": "x@y.org"},
        "send_to": "send_to_all",
    })  # fmt: skip
    assert [problem.partition(":")[0] for problem in found] == [
        "send_to",
        "special_headers['Bcc']",
        "sender",
        "reply_to",
        "subject",
        "body",
    ]
    assert found[4] == "subject: line 1, column 1: user.nmae is not a known variable; did you mean user.name?"
    assert found[5] == "body: line 2, column 1: the tag {% include %} cannot be used here"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"request_id": "a b"}, "request_id: may hold only letters"),
        ({"request_id": "x" * 201}, "request_id: is 201 characters long; 200 are allowed"),
        ({"subject": 5}, "subject: must be text, not a number"),
        ({"subject": "\ud800"}, "subject: holds half a character"),
        ({"body": "x" * (MAX_BODY + 1)}, "body: is 1000001 characters long"),
        ({"created_at": "yesterday"}, "created_at: must be an instant such as"),
        ({"created_at": 5}, "created_at: must be an instant such as"),
        ({"created_at": "0001-01-01T00:00:00+23:00"}, "created_at: 0001-01-01T00:00:00+23:00 is out of range"),
        ({"not_before": "2026-12-01T00:00:00Z", "expires_at": "2026-11-30T00:00:00Z"}, "expires_at: is before not_before"),
        ({"expires_at": "2026-11-20T00:00:00Z"}, "expires_at: its time was over at 2026-11-20T00:00:00+00:00"),
        ({"site": {"domain": "nowhere", "bounces": "x"}}, "site.domain: 'nowhere' is no full domain name"),
        ({"site": None}, "site: must be an object, not null"),
        ({"creator": []}, "creator: must be an object, not a list"),
        ({"recipients": {}}, "recipients: must be a list, not an object"),
        ({"recipients": None}, "recipients: is missing; give a list"),
        ({"recipients": [{"user_id": True}]}, "recipients[0].user_id: must be text, not true or false"),
        ({"recipients": [{"user_id": "1", "guardian": "Gina"}]}, "recipients[0].guardian: must be an object, not text"),
        ({"recipients": [{"user_id": "1", "active": "yes"}]}, "recipients[0].active: must be true or false, not text"),
        ({"recipients": [{"user_id": "1", "variables": []}]}, "recipients[0].variables: must be an object, not a list"),
        ({"recipients": [{"user_id": "1", "variables": {"x": "y" * 250_000}}]}, "recipients[0].variables: is 250008 characters long"),
        ({"recipients": [{"user_id": "1", "variables": {"x" * 301: 1}}]}, "recipients: have a variable whose name is longer"),
        ({"recipients": [{"user_id": "1", "variables": {str(n): n for n in range(2001)}}]}, "recipients: have more than 2000 different variables"),
        ({"dedupe": 1}, 'dedupe: must be one of "auto", true, false, not 1'),
        ({"on_doubt": "maybe"}, 'on_doubt: must be one of "hold", "resend", not "maybe"'),
        ({"special_headers": {"X-A": "1", "x-a": "2"}}, "special_headers['x-a']: is there twice"),
        ({"special_headers": {"X A": "1"}}, "special_headers['X A']: is no header name"),
        ({"special_headers": {"X-A": "1\r\nBcc: x@y.org"}}, "special_headers['X-A']: has a line break"),
        ({"special_headers": {"X-A": "1" * 999}}, "special_headers['X-A']: is 999 characters long"),
        ({"special_headers": {"X-SMTPAPI": "{}"}}, "special_headers['X-SMTPAPI']: may not be set"),
        ({"special_headers": {"In-Reply-To": "<\u00e9@x.org>"}}, "special_headers['In-Reply-To']: cannot be sent: the In-Reply-To header holds"),
        ({"special_headers": {"References": "<" + "a" * 990 + ">"}}, "special_headers['References']: cannot be sent: the References header is"),
        ({"priority": "\ud800"}, 'priority: must be one of "bulk", "urgent", not "\\ud800"'),
        ({"recipients": [{"user_id": "1", "variables": {"user": 5}, "\ud800": 1, "email": 5}]}, "recipients[0].email: must be text"),
        ({"special_headers": {"List-Unsubscribe": "x"}}, "special_headers['List-Unsubscribe']: may not be set"),
        ({"special_headers": {f"X-{n}": "1" for n in range(21)}}, "special_headers: has 21 fields"),
        ({"reply_to": "a@b.org", "special_headers": {"Reply-To": "c@d.org"}}, "reply_to: says a@b.org, but the Reply-To in special_headers"),
        ({"reply_to": "a@b.org,"}, "reply_to: the address is empty"),
        ({"attachments": [{"filename": "a/b", "content_type": "text", "body": {"key": "k", "sha256": "s", "size": 1}}]}, "attachments[0].filename"),
        ({"attachments": [{"filename": "a", "content_type": "a/b", "body": {"key": "k", "sha256": "s"}}]}, "attachments[0].body.size: must be"),
        ({"attachments": [{}] * 51}, "attachments: has 51 files; 50 are allowed"),
        ({"body": "{{ user.recover_url }}"}, "body: line 1, column 1: user.recover_url may not be mailed"),
        ({"body": "{{ request.sender }}"}, "body: line 1, column 1: request.sender may not be read; of request there are public_url"),
        ({"body": "{{ program }}"}, "body: line 1, column 1: program is a group of values; name one of them, such as program.date"),
        ({"body": "{{ user.email }}"}, "body: line 1, column 1: user.email is not a known variable"),
        ({"body": "{{ qwxz }}"}, "body: line 1, column 1: qwxz is not a known variable"),
    ],
)  # fmt: skip
def test_a_fault(changes: dict[str, Any], problem: str) -> None:
    assert [found for found in problems_of(changes) if found.startswith(problem)]


def test_of_many_unknown_variables_the_first_are_named() -> None:
    """Looking for what each was meant to be takes milliseconds, and nobody reads a thousand lines."""
    found = problems_of({"body": "".join(f"{{{{ nothing{n} }}}}" for n in range(1000))})
    assert len(found) == MAX_FAULTS


def test_a_key_that_cannot_be_printed_is_warned_of_all_the_same() -> None:
    assert parse_request(document("ann", **{"\ud800": 1}), NOW).warnings == ("\\ud800 is not a known key and was ignored",)


def test_defaults_are_the_architectures() -> None:
    bare = {
        key: value for key, value in document("ann").items() if key in ("request_id", "subject", "body", "site", "creator", "recipients")
    }
    request = parse_request(bare, NOW).request
    assert (request.created_at, request.send_to, request.priority, request.dedupe, request.on_doubt) == (NOW, "", "bulk", "auto", "hold")
    assert (request.public, request.inline_css, request.needs_approval, request.special_headers) == (False, False, False, {})


def test_warnings_name_what_was_ignored() -> None:
    found = document({"user_id": 1, "shoe": 43}, {"user_id": "1"}, colour="red", subject=" ", body='a<img src="data:x">')
    assert parse_request(found, NOW).warnings == (
        "body: 1 images written into the text (data:) were removed; most mail programs do not show them",
        "recipients[0].shoe is not a known key and was ignored",
        "recipients[1] repeats user_id 1; the first one counts",
        "colour is not a known key and was ignored",
        "subject is blank",
    )


@pytest.mark.parametrize(
    ("values", "body"),
    [
        ({"deadline": "June"}, "{{ deadline }}"),
        ({"classes": [{"title": "Knots"}]}, "{% for c in classes %}{{ c.title }}{% endfor %}{{ classes.0.title }}"),
        ({"user": {"grade": 7}}, "{{ user.grade }}"),
        (
            {"program": {"motto": "x"}},
            "{% for name, value in program.items %}{{ name }}{% endfor %}{% if program %}{{ program.motto }}{% endif %}",
        ),
        ({"note": {"html": "<b>x</b>"}}, "{{ note }}"),
    ],
)
def test_any_key_of_the_variables_is_known(values: dict[str, Any], body: str) -> None:
    person = {"user_id": "1", "email": "a@x.org"}
    shared = parse_request(document(person, variables=values, body=body), NOW).request
    own = parse_request(document(person, {**person, "user_id": "2", "variables": values}, body=body), NOW).request
    assert json.loads(shared.variables) == json.loads(own.recipients[1].variables) == values
    assert own.person_variables


def test_the_hash_is_of_the_content_alone() -> None:
    first = parse_request(document("ann"), NOW).request
    later = parse_request(document("ann"), NOW + timedelta(hours=1)).request
    assert first.content_hash == later.content_hash
    assert first.content_hash != parse_request(document("ann", body="other"), NOW).request.content_hash
    undated = document("ann", created_at=None)
    assert parse_request(undated, NOW).request.content_hash == parse_request(undated, NOW + timedelta(hours=1)).request.content_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "2"},
        {"username": "b"},
        {"first_name": "Bo"},
        {"last_name": "Ray"},
        {"email": "b@x.org"},
        {"active": False},
        {"variables": {"note": "y"}},
        {"guardian": None},
        {"guardian": {"first_name": "Gil", "email": "g@x.org"}},
        {"guardian": None, "emergency": {"first_name": "Gina", "email": "g@x.org"}},
    ],
    ids=str,
)
def test_the_hash_is_of_all_people_too(changes: dict[str, Any]) -> None:
    guardian = {"first_name": "Gina", "email": "g@x.org"}
    one = {"user_id": "1", "username": "a", "email": "a@x.org", "guardian": guardian, "variables": {"note": "x"}}
    other = {**one, "user_id": "9"}
    found = {
        parse_request(document(*people), NOW).request.content_hash
        for people in ([one, other], [one, one, other], [{**one, **changes}, other], [other, one], [one])
    }
    assert len(found) == 4, "only who stands there twice counts once"


def test_a_million_bytes_of_people_are_cut_to_size() -> None:
    people = [{"user_id": str(n), "email": f"u{n}@x.org", "variables": {"note": "x" * (50_000 if n == 5 else 10)}} for n in range(2500)]
    request = parse_request(document(*people, dedupe=False), NOW).request
    chunks = list(split_into_chunks(request, max_people=1000, max_bytes=40_000))
    assert [person for chunk in chunks for person in chunk.recipients] == request.recipients
    assert [len(chunk.recipients) for chunk in chunks if "5" in {person.user_id for person in chunk.recipients}] == [1]
    assert max(len(encode(chunk)) for chunk in chunks if len(chunk.recipients) > 1) < 42_000
    assert {(chunk.chunks, chunk.recipients_total) for chunk in chunks} == {(len(chunks), 2500)}


def test_an_empty_audience_is_one_record() -> None:
    chunks = list(split_into_chunks(parse_request(document(), NOW).request))
    assert [(chunk.chunk, chunk.chunks, chunk.recipients) for chunk in chunks] == [(0, 1, [])]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"priority": "9"}, "priority"),
        ({"on_doubt": ""}, "on_doubt"),
        ({"variables": "["}, "variables"),
        ({"variables": "[]"}, "variables"),
        ({"variables": '{"a":' * 5000 + "1" + "}" * 5000}, "variables"),
        ({"send_to": "all"}, "send_to"),
    ],
)
def test_a_record_of_another_making_is_checked_as_well(changes: dict[str, Any], where: str) -> None:
    outcome = check(replace(parse_request(document("ann"), NOW).request, **changes), NOW)
    assert isinstance(outcome, Refused)
    assert [problem.where for problem in outcome.problems] == [where]
    assert outcome.reason
    assert where in outcome.detail


def test_a_bounce_address_must_have_room_for_an_email_id_where_each_mail_has_its_own() -> None:
    request = document("ann", site={"domain": "d.org", "bounces": "a-very-long-address-for-bounces@d.org"})
    assert parse_request(request, NOW).request.site.bounces
    with pytest.raises(RequestRefused, match=r"site\.bounces: .* is too long to carry an email id"):
        parse_request(request, NOW, Policy(verp=True))
