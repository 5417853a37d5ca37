"""A request looked at before it is sent: one recipient's mails as they would be, or one of them to somebody who tries it out.

for_person(request, user_id) -> MessageRequest
trial(request, to, user_id, now, policy) -> EmailQueued
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from streams.domain.addresses import AddressError, check_address
from streams.domain.ids import message_id, trial_email_id
from streams.domain.outgoing.check import check
from streams.domain.outgoing.expansion import Facts, expand
from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.problems import Problem, Refused, RequestRefused
from streams.domain.outgoing.unsubscribe import Keyring
from streams.domain.verp import verp
from streams.events import Composed, Creator, EmailQueued, Header, MessageRequest, Person, RecipientSkipped

PURPOSE = "test"
MARK = "[TEST] "
LIFETIME = timedelta(days=1)
INERT = Keyring((bytes(32),))  # links of no key of ours: a test mail unsubscribes nobody (spec 8, row 32)
# What stands on real mail so that its recipients, or their providers, can leave a list that the one who tries it is not on.
LEFT_OUT = frozenset({"list-unsubscribe", "list-unsubscribe-post", "list-id", "feedback-id"})


def for_person(request: MessageRequest, user_id: str) -> MessageRequest:
    """The request to this recipient alone. Raises RequestRefused."""
    people = [person for person in request.recipients if person.user_id == user_id]
    if not people:
        raise _refused("unknown_user", "user_id", f"no recipient of the request has the user_id {user_id[:100]}")
    return replace(request, recipients=people)


def trial(request: MessageRequest, to: str, user_id: str | None, now: datetime, policy: Policy) -> EmailQueued:
    """One mail to `to` alone, with the text of a recipient, or of the request's creator where `user_id` is None.

    It is none of the request's mails, and each call is a new one. Raises RequestRefused.
    """
    try:
        address = check_address(to)
    except AddressError as error:
        raise _refused("invalid_address", "to", str(error)) from None
    person = _creator(request.creator) if user_id is None else for_person(request, user_id).recipients[0]
    whole = replace(person, email=address, active=True)
    checked = check(replace(request, recipients=[whole], send_to="", dedupe="off", mailed_before=[]), now, policy)
    if isinstance(checked, Refused):
        raise RequestRefused(checked)
    line = next(expand(checked, Facts(lambda _: None, INERT), now))
    if isinstance(line, RecipientSkipped):
        raise _refused(line.reason, "recipients", line.detail)
    return _as_trial(line, request, now, policy)


def _as_trial(email: EmailQueued, request: MessageRequest, now: datetime, policy: Policy) -> EmailQueued:
    assert isinstance(email.content, Composed)
    email_id = trial_email_id(request.request_id, email.recipient, now)
    own = {"To": email.recipient, "Subject": MARK + email.subject, "Message-ID": message_id(email_id, request.site.domain)}
    kept = [header for header in email.content.headers if header.name.lower() not in LEFT_OUT]
    headers = [Header(header.name, own.get(header.name, header.value)) for header in kept]
    return replace(
        email,
        email_id=email_id,
        request_id=None,
        user_id=None,
        purpose=PURPOSE,
        to=email.recipient,
        envelope_from=verp(request.site.bounces, email_id) if policy.verp else request.site.bounces,
        subject=own["Subject"],
        message_id=own["Message-ID"],
        expires_at=now + LIFETIME,
        content=replace(email.content, headers=headers),
    )


def _creator(creator: Creator) -> Person:
    return Person(creator.user_id, "", creator.first_name, creator.last_name, creator.email)


def _refused(code: str, where: str, text: str) -> RequestRefused:
    return RequestRefused(Refused((Problem(code, where, text),)))
