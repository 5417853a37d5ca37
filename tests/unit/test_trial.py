"""Preview and test send (spec 2.7; 8, row 32; 9.6, row 160), and the neutral reading of a public request (row 36)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from streams.domain.compose import compose
from streams.domain.outgoing.policy import Policy, needs_approval
from streams.domain.outgoing.problems import RequestRefused
from streams.domain.outgoing.public_view import public_view
from streams.domain.outgoing.request import parse_request
from streams.domain.outgoing.templates import RenderFault
from streams.domain.outgoing.trial import for_person, trial
from streams.domain.outgoing.unsubscribe import BadToken, read_token
from streams.domain.verp import read_verp
from streams.events import Composed, EmailQueued, MessageRequest
from tests.services.outgoing import KEYRING, NOW, document

POLICY = Policy()


def request(*people: Any, **changes: Any) -> MessageRequest:
    return parse_request(document(*people, **changes), NOW).request


def tried(message: MessageRequest, to: str = "me@x.org", user_id: str | None = None, policy: Policy = POLICY) -> EmailQueued:
    return trial(message, to, user_id, NOW, policy)


def headers_of(email: EmailQueued) -> dict[str, str]:
    assert isinstance(email.content, Composed)
    return {header.name: header.value for header in email.content.headers}


def test_160_a_test_is_one_marked_mail_and_none_of_the_requests() -> None:
    email = tried(request("ann", "bob", subject="For {{ user.name }}"), user_id="2")
    assert (email.recipient, email.to, email.subject) == ("me@x.org", "me@x.org", "[TEST] For Bob O'Neil")
    assert (email.request_id, email.user_id, email.purpose) == (None, None, "test")
    headers = headers_of(email)
    assert (headers["To"], headers["Subject"], headers["Message-ID"]) == (email.to, email.subject, email.message_id)
    assert b"Subject: [TEST] For Bob O'Neil\r\n" in compose(email, {})


def test_32_a_test_unsubscribes_nobody() -> None:
    email = tried(request("ann", body="{{ user.unsubscribe_link }}"))
    assert not {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Feedback-ID"} & headers_of(email).keys()
    assert isinstance(email.content, Composed)
    token = email.content.text.rsplit("/", 1)[1]
    with pytest.raises(BadToken):
        read_token(KEYRING, token)


def test_32_the_rest_is_as_in_the_real_mail() -> None:
    message = request("ann", body="{{ user.name }} {{ EMAIL_HOST_SENDER }}", special_headers={"X-Kind": "news"})
    email = tried(message, user_id="1")
    headers = headers_of(email)
    assert isinstance(email.content, Composed)
    assert email.content.text == "Ann Lee yale.learningu.org"
    assert (headers["From"], headers["Reply-To"], headers["X-Kind"]) == ("Yale Splash <info@yale.learningu.org>", "ada@x.org", "news")


def test_without_a_recipient_it_is_the_creators_text() -> None:
    assert tried(request("ann", subject="For {{ user.name }}")).subject == "[TEST] For Ada Min"


def test_an_inactive_recipient_can_be_tried_as_well() -> None:
    assert tried(request("ina", subject="{{ user.first_name }}"), user_id="6").subject == "[TEST] Ina"


def test_each_test_is_a_mail_of_its_own_with_its_own_return_path() -> None:
    message = request("ann")
    first, second = tried(message), trial(message, "me@x.org", None, NOW + timedelta(seconds=1), Policy(verp=True))
    assert first.email_id != second.email_id
    assert first.envelope_from == "emailbounces@learningu.org"
    assert read_verp(second.envelope_from) == second.email_id


@pytest.mark.parametrize(
    ("to", "user_id", "reason"),
    [("nobody", None, "invalid_address"), ("me@x.org", "77", "unknown_user"), ("me@x.org", "30", "render_failed")],
)
def test_what_cannot_be_tried_says_why(to: str, user_id: str | None, reason: str) -> None:
    long = {"user_id": "30", "username": "l", "first_name": "a" * 250, "last_name": "b" * 250, "email": "l@x.org"}
    with pytest.raises(RequestRefused) as refused:
        tried(request(long, subject="{{ user.name }}" * 5), to, user_id)
    assert refused.value.refused.reason == reason


def test_a_preview_is_of_one_recipient() -> None:
    alone = for_person(request("ann", "bob", "cy"), "2")
    assert [person.username for person in alone.recipients] == ["bob"]
    with pytest.raises(RequestRefused, match="no recipient"):
        for_person(alone, "1")


# -- public view -----------------------------------------------------------------------------------------------------

SHOWN = [
    ("Dear {{ user.first_name }}", "Dear [first name]"),
    ("{{ user.name|upper }}", "[NAME]"),
    ("{% if user.first_name %}Dear {{ user.first_name }}{% endif %}", "Dear [first name]"),
    ("{{ program.date }}", "Jul. 07, 2222"),
    ("{{ program.student_schedule }}", "[student schedule]"),
    ("{{ nickname }}", "[nickname]"),
    ("{{ program.date_range }}", "Feb. 19 - Mar. 01, 2026"),
    ("{% for class in classes %}({{ class }}){% endfor %}", ""),
    ("{% if classes %}yes{% else %}no{% endif %}{{ classes }}", "no"),
    ("{{ user.unsubscribe_link }}", "#"),
    ("{{ request.subject }} {{ EMAIL_HOST_SENDER }}", "News yale.learningu.org"),
]


@pytest.mark.parametrize(("body", "text"), SHOWN)
def test_36_what_is_the_recipients_own_has_neutral_words(body: str, text: str) -> None:
    own = {"program": {"student_schedule": {"html": "<table></table>"}, "date_range": "own"}, "nickname": "Annie", "classes": ["a", "b"]}
    ann = {"user_id": "1", "username": "ann", "first_name": "Ann", "last_name": "Lee", "email": "ann@x.org", "variables": own}
    assert public_view(request(ann, body=body), NOW, POLICY).text == text


def test_36_a_text_that_needs_a_recipient_cannot_be_shown() -> None:
    ann = {"user_id": "1", "username": "ann", "first_name": "Ann", "last_name": "Lee", "email": "ann@x.org", "variables": {"n": 3}}
    with pytest.raises(RenderFault):
        public_view(request(ann, subject="{{ user.name|center:'99999999' }}"), NOW, POLICY)


def test_36_age_does_not_matter() -> None:
    assert public_view(request("ann", body="x"), NOW + timedelta(days=4000), POLICY).text == "x"


# -- approval --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "over", "people", "needed"),
    [(False, 0, 2, False), (True, 0, 2, True), (False, 2, 2, False), (False, 1, 2, True), (True, 9, 2, True), (False, -1, 1, True)],
)
def test_a_request_to_more_people_than_the_installation_allows_needs_approval(asked: bool, over: int, people: int, needed: bool) -> None:
    message = request(*["ann", "bob"][:people], needs_approval=asked)
    assert needs_approval(message, Policy(approval_over=over)) == needed
