"""Several senders at one lane, coming and going: rows F-12 and X-21 of the fault table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.domain.states import EmailState
from streams.events import EmailAttempting, EmailQueued
from streams.rewind import group_of
from streams.settings import Settings
from tests.services.agents import Agent, running
from tests.services.mails import email
from tests.services.post import SENDER, Post, post_office
from tests.services.until import until

pytestmark = pytest.mark.broker
SENT = EmailState.SENT
NUMBER = count()


@pytest.fixture
def post(kafka: Settings, tmp_path: Path) -> Iterator[Post]:
    with post_office(kafka, tmp_path) as post:
        yield post


def another(post: Post) -> AbstractContextManager[Agent]:
    """One more sender of the same group, with a memory of its own."""
    return running(replace(post.settings, var=post.settings.var / f"sender-{next(NUMBER)}"), SENDER)


def owners(post: Post, mails: list[EmailQueued]) -> set[str]:
    """Which processes offered these mails."""
    said = [event for one in mails for event in post.events_of(one) if isinstance(event, EmailAttempting)]
    return {event.owner.rpartition(":")[0] for event in said}


def shares(post: Post) -> int:
    """How many members of the group have partitions."""
    client, group = AdminClient({"bootstrap.servers": post.settings.bootstrap}), group_of(post.settings, SENDER)
    members = client.describe_consumer_groups([group])[group].result().members
    return sum(bool(member.assignment and member.assignment.topic_partitions) for member in members)


def test_two_senders_that_get_the_same_emails_send_each_once(post: Post) -> None:
    """X-21: every email stands on the lane three times; a second process takes half of the lane over in the middle."""
    first, later = [email() for _ in range(200)], [email() for _ in range(200)]
    with post.sender() as one:
        post.queue(*first, *first, *first)
        with another(post) as other:
            until(lambda: shares(post) == 2, "both have partitions")
            post.queue(*later, *later, *first, *later)
            post.until_they_stand((SENT, 1), *first, *later)
            post.until_idle()
            assert [agent.stop()[0] for agent in (one, other)] == [0, 0]
    assert {recipient: len(post.sink.copies(recipient)) for recipient in {mail.recipient for mail in first + later}} == {
        mail.recipient: 1 for mail in first + later
    }
    assert len(owners(post, first + later)) == 2


def test_a_sender_that_joins_and_leaves_again_and_again_under_load(post: Post) -> None:
    """F-12: no mail is lost or doubled; the one that stays does not end."""
    mails: list[EmailQueued] = []
    with post.sender() as stays:
        for _ in range(5):
            batch = [email() for _ in range(100)]
            mails += batch
            post.queue(*batch)
            with another(post) as guest:
                assert guest.stop()[0] == 0
        post.until_they_stand((SENT, 1), *mails)
        post.until_idle()
        assert stays.stop()[0] == 0
    assert [len(post.sink.copies(mail.recipient)) for mail in mails] == [1] * len(mails)
