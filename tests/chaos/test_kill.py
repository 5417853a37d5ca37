"""Killed, the sender neither loses nor doubles (rows X-01 to X-04 and X-10 of the fault table, under load)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway.smtp_pool import BEGUN_PER_CONNECTION
from streams.domain.states import EmailState
from streams.settings import Settings
from tests.services.mails import email
from tests.services.post import Post, at_the_end, post_office, rewound
from tests.services.until import until

pytestmark = [pytest.mark.broker, pytest.mark.chaos]
MAILS = 2000
KILL_AT = (300, 800, 1300)  # mails that the MTA has taken


@pytest.fixture
def post(kafka: Settings, tmp_path: Path) -> Iterator[Post]:
    with post_office(kafka, tmp_path) as post:
        yield post


def test_every_recipient_has_one_copy_or_is_a_doubt(post: Post) -> None:
    """kill -9 three times in the middle of 2,000 mails; then the whole lane again from where they begin."""
    beginning = at_the_end(post.settings)
    mails = [email() for _ in range(MAILS)]
    post.queue(*mails)
    for taken in KILL_AT:
        with post.sender() as agent:
            until(partial(has_taken, post, taken), f"the MTA has {taken} mails")
            agent.kill()
    with post.sender() as agent:
        post.until_idle()
        assert agent.stop()[0] == 0
    check(post, [one.recipient for one in mails], [standing for standing, _ in post.standing(*mails)])

    before = len(post.sink.taken)
    until(lambda: rewound(post.settings, beginning), "the group is moved back")
    with post.sender() as agent:
        post.until_idle()
        assert agent.stop()[0] == 0
    assert len(post.sink.taken) == before


def has_taken(post: Post, mails: int) -> bool:
    return len(post.sink.taken) >= mails


def check(post: Post, recipients: list[str], standings: list[EmailState]) -> None:
    copies = Counter(recipient for recipient, _ in post.sink.taken)
    assert len(standings) == len(recipients)
    assert set(standings) <= {EmailState.SENT, EmailState.IN_DOUBT}
    for recipient, standing in zip(recipients, standings, strict=True):
        allowed = {1} if standing is EmailState.SENT else {0, 1}
        assert copies[recipient] in allowed, f"{recipient} is {standing} and has {copies[recipient]} copies"
    doubts = standings.count(EmailState.IN_DOUBT)
    begun = BEGUN_PER_CONNECTION * post.settings.smtp_connections
    assert doubts <= len(KILL_AT) * begun, "only what was at the MTA, or next, may be in doubt"
