"""The sender against an MTA that does whatever the test scripted: rows X of the fault table, real agent and broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from streams.domain.addresses import address_hash
from streams.domain.states import EmailState
from streams.events import (
    EmailBounced,
    EmailDeferred,
    EmailFailed,
    EmailInDoubt,
    EmailQueued,
)
from streams.settings import Settings
from tests.services.mails import email
from tests.services.post import Post, post_office
from tests.services.sink import At
from tests.services.until import until

pytestmark = pytest.mark.broker
SENT, FAILED, IN_DOUBT, DEFERRED = EmailState.SENT, EmailState.FAILED, EmailState.IN_DOUBT, EmailState.DEFERRED


@pytest.fixture(scope="module")
def post(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """A sender and a delay wheel that several tests share, for nothing that they do may end them."""
    with post_office(kafka, tmp_path_factory.mktemp("post")) as post, ExitStack() as stack:
        agents = [stack.enter_context(post.sender()), stack.enter_context(post.wheel())]
        yield post
        assert [agent.stop()[0] for agent in agents] == [0, 0]


# The answer, the phase at which it comes -> what becomes of the mail at once.
ANSWERS = (
    # after the dot nothing but a clear yes or no counts
    ("silence, then hung up", At("DOT", b""), IN_DOUBT, "disconnected_after_dot"),
    ("half a reply", At("DOT", b"25"), IN_DOUBT, "disconnected_after_dot"),
    ("no such code", At("DOT", b"999 what\r\n"), IN_DOUBT, "unknown_reply_after_dot"),
    ("no reply at all", At("DOT", b"taken, thank you\r\n"), IN_DOUBT, "protocol_after_dot"),
    # before it, a failure is safe to try again
    ("hung up at RCPT", At("RCPT", b""), DEFERRED, "disconnected"),
    ("half a reply to RCPT", At("RCPT", b"25"), DEFERRED, "disconnected"),
    ("hung up at DATA", At("DATA", b""), DEFERRED, "disconnected"),
    ("babble at DATA", At("DATA", b"hello there\r\n"), DEFERRED, "protocol"),
    ("greylisted", At("RCPT", b"451 4.7.1 greylisted, come back\r\n"), DEFERRED, "greylisted"),
    ("busy", At("RCPT", b"452 4.3.1 no space\r\n"), DEFERRED, "server_busy"),
    ("421 at RCPT", At("RCPT", b"421 4.3.2 shutting down\r\n"), DEFERRED, "server_busy"),
    ("deferred at the dot", At("DOT", b"451 4.3.0 later\r\n"), DEFERRED, "server_busy"),
    # a clear no is final
    ("no such user", At("RCPT", b"550 5.1.1 no such user\r\n"), FAILED, "mailbox_unknown"),
    ("refused at the dot", At("DOT", b"554 5.7.1 looks like spam\r\n"), FAILED, "policy"),
    ("too big at DATA", At("DATA", b"552 5.3.4 too big\r\n"), FAILED, "too_big"),
)


def test_every_answer_has_its_outcome(post: Post) -> None:
    """X-05 to X-08: each answer at its phase, all at once; the mails beside them are sent."""
    mails = {name: email(expires_at=datetime.now(UTC) + timedelta(hours=1), max_attempts=4) for name, *_ in ANSWERS}
    for name, act, *_ in ANSWERS:
        post.sink.script(mails[name].recipient, *[act] * (2 if act.say in (b"", b"25") and act.phase != "DOT" else 1))
    beside = [email() for _ in range(20)]
    post.queue(*mails.values(), *beside)
    post.until_they_stand((SENT, 1), *beside)
    until(lambda: len(post.standing(*mails.values())) == len(ANSWERS), "all were offered")
    for name, _, state, reason in ANSWERS:
        if state is DEFERRED:  # on a kept connection that died the mail is offered once more within the attempt
            until(partial(is_sent, post, mails[name]), f"{name}: sent after all")
        said = post.events_of(mails[name])
        first = next(event for event in said if isinstance(event, EmailDeferred | EmailFailed | EmailInDoubt))
        kind = {IN_DOUBT: EmailInDoubt, DEFERRED: EmailDeferred, FAILED: EmailFailed}[state]
        assert (name, type(first), first.reason, first.attempt) == (name, kind, reason, 1)
    for name, _, state, _ in ANSWERS:
        expected = {IN_DOUBT: 1, DEFERRED: 1, FAILED: 0}[state]
        assert (name, len(post.sink.copies(mails[name].recipient))) == (name, expected)


def is_sent(post: Post, one: EmailQueued) -> bool:
    return post.standing(one)[0][0] is SENT


def test_a_retry_has_the_same_message_id_and_bytes(post: Post) -> None:
    """X-26: what two attempts offer is the same mail."""
    one = email(on_doubt="resend")
    post.sink.script(one.recipient, At("DOT", b""))
    post.queue(one)
    post.until_they_stand((SENT, 2), one)
    first, second = post.sink.copies(one.recipient)
    assert first == second
    assert post.said(one) == ["EmailAttempting", "EmailInDoubt", "EmailRequeued", "EmailAttempting", "EmailSent"]


def test_an_address_that_is_dead_is_fed_back(post: Post) -> None:
    """X-08: one hard bounce on topic feedback, from which its address is suppressed."""
    one = email()
    post.sink.script(one.recipient, At("RCPT", b"550 5.1.1 no such user\r\n"))
    post.queue(one)
    post.until_they_stand((FAILED, 1), one)
    until(lambda: bounces(post, one), "the bounce is recorded")
    (bounce,) = bounces(post, one)
    assert (bounce.kind, bounce.address_hash) == ("hard", address_hash(one.recipient))


def bounces(post: Post, one: EmailQueued) -> list[EmailBounced]:
    return [event for event in post.feedback.heard() if isinstance(event, EmailBounced) and event.email_id == one.email_id]


def test_attempts_come_to_an_end(post: Post) -> None:
    """X-07, delay wheel: an answer that stays temporary is asked for again by way of the wheel, `max_attempts` times."""
    one = email(max_attempts=3)
    post.sink.script(one.recipient, *[At("RCPT", b"450 4.2.1 try later\r\n")] * 3)
    post.queue(one)
    post.until_they_stand((FAILED, 3), one)
    assert post.said(one) == ["EmailAttempting", "EmailDeferred"] * 2 + ["EmailAttempting", "EmailFailed"]
    assert post.events_of(one)[-1].reason == "attempts_exhausted"
    assert post.sink.copies(one.recipient) == []


HOSTILE = (
    "evil@x.org\r\nRCPT TO:<victim@x.org>",
    "evil@x.org> NOTIFY=NEVER",
    "a@x.org,b@x.org",
    "<a@x.org>",
    "tab\t@x.org",
    "nul\0@x.org",
    "",
)


def test_no_address_says_more_than_an_address(post: Post) -> None:
    """X-13: nothing of such a recipient or sender comes on the wire, and the mail fails with the reason."""
    mails = [email("harmless@x.org", recipient=address) for address in HOSTILE]
    mails += [email(envelope_from=address) for address in HOSTILE if address and "," not in address]  # '' is the null sender
    before = len(post.sink.commands)
    post.queue(*mails)
    post.until_they_stand((FAILED, 1), *mails)
    said = b"\n".join(post.sink.commands[before:])
    assert b"evil" not in said
    assert b"victim" not in said
    assert all(len(post.sink.copies(one.recipient)) == 0 for one in mails)


BODIES = (
    "one line",
    "a dot\n.\nMAIL FROM:<evil@x.org>\n.\n",
    "..two dots\n...three\n.",
    "no final newline",
    "smuggled \r.\r bare returns \r\n",
    "a very long line: " + "x" * 5000,
    "NUL \0 inside",
    "Grüße, 你好\n" * 3,
)


def test_a_body_arrives_as_one_mail(post: Post) -> None:
    """X-12: whatever a body holds, the server sees one mail, legal lines, and the dots that were there."""
    import email as stdlib
    from email import policy

    from streams.events import Composed

    mails = []
    for text in BODIES:
        one = email()
        assert isinstance(one.content, Composed)
        mails.append(replace(one, content=replace(one.content, text=text)))
    post.queue(*mails)
    post.until_they_stand((SENT, 1), *mails)
    for one, text in zip(mails, BODIES, strict=True):
        (message,) = post.sink.copies(one.recipient)
        assert max(len(line) for line in message.split(b"\r\n")) <= 998
        parsed = stdlib.message_from_bytes(message, policy=policy.default)
        canonical = text.replace("\r\n", "\n").replace("\r", "\n")
        assert parsed.get_content().replace("\r\n", "\n").removesuffix("\n") == canonical.removesuffix("\n")


def test_the_same_email_many_times_is_sent_once(post: Post) -> None:
    """X-21: an expansion that was repeated queues everything again; records of one email never work at the same time."""
    mails = [email() for _ in range(50)]
    post.queue(*(one for one in mails for _ in range(4)))
    post.until_they_stand((SENT, 1), *mails)
    post.until_idle()
    assert [len(post.sink.copies(one.recipient)) for one in mails] == [1] * 50
    assert all(post.said(one) == ["EmailAttempting", "EmailSent"] for one in mails)
