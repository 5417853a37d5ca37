"""Senders killed, frozen, stopped and started anew: rows X and F of the fault table, real agents and broker.

No other sender may read the lane meanwhile, so these tests stand in a file of their own.
"""

from __future__ import annotations

import re
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from gateway.smtp_pool import BEGUN_PER_CONNECTION
from streams import codec, topics
from streams.domain.addresses import address_hash
from streams.domain.states import EmailState
from streams.events import EmailQueued, RequestControl, Suppression
from streams.ports import EVERY_PURPOSE, suppression_key
from streams.reads import NAMES
from streams.settings import Settings
from tests.services.agents import running
from tests.services.mails import email, queue, write
from tests.services.ports import HOST, free_ports
from tests.services.post import SENDER, Post, at_the_end, post_office, rewound
from tests.services.sink import At
from tests.services.until import until

pytestmark = pytest.mark.broker
SENT, IN_DOUBT = EmailState.SENT, EmailState.IN_DOUBT


@pytest.fixture
def own(kafka: Settings, tmp_path: Path) -> Iterator[Post]:
    """An MTA, and settings for senders that the test starts and ends."""
    with post_office(kafka, tmp_path) as post:
        yield post


@pytest.fixture(scope="module", autouse=True)
def wheel(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Brings back what a sender puts off, or hands back because this machine was too busy for its heartbeats."""
    settings = replace(kafka, app=f"test-{uuid.uuid4().hex[:8]}", var=tmp_path_factory.mktemp("wheel"))
    with running(settings, "delay") as agent:
        yield
        assert agent.stop()[0] == 0


def test_what_was_said_after_queueing_counts(own: Post) -> None:
    """X-24, X-25: expired, cancelled or suppressed while it waited for its turn in the sender's hands: never offered."""
    gate = At("RCPT", gate=Event())
    assert gate.gate is not None
    first, expired = email(), email(expires_at=datetime.now(UTC) + timedelta(seconds=2))
    cancelled, unsubscribed = email(request_id="changed-our-mind"), email()
    own.sink.script(first.recipient, gate)
    narrow = replace(own, settings=replace(own.settings, smtp_connections=1, smtp_timeout=30.0))
    with narrow.sender():
        narrow.queue(first)
        until(gate.reached.is_set, "the only connection is taken")
        narrow.queue(expired, cancelled, unsubscribed)
        until_cancelled(narrow, cancelled)
        until_suppressed(narrow, unsubscribed)
        until(lambda: datetime.now(UTC) > expired.expires_at, "its time is over")
        gate.gate.set()
        until(lambda: len(narrow.standing(expired, cancelled, unsubscribed)) == 3, "each has its outcome")
    assert [state for state, _ in narrow.standing(expired, cancelled, unsubscribed)] == ["expired", "cancelled", "suppressed"]
    assert [narrow.said(one)[-1] for one in (expired, cancelled, unsubscribed)] == ["EmailExpired", "EmailCancelled", "EmailSuppressed"]
    assert not any(own.sink.copies(one.recipient) for one in (expired, cancelled, unsubscribed))


def until_cancelled(post: Post, waiting: EmailQueued) -> None:
    """Returns when the sender knows: another mail of the request, queued now, does not even wait."""
    control = RequestControl(waiting.request_id or "", datetime.now(UTC), "cancelled", "test", "", waits=[])
    write(post.settings, topics.REQUEST_CONTROLS, [(control.request_id.encode(), codec.encode(control))])
    until(lambda: ended_at_once(post, email(request_id=waiting.request_id)), "the sender knows")


def until_suppressed(post: Post, waiting: EmailQueued) -> None:
    """The same by an address whose row stands behind that of `waiting`."""
    probe = email()
    for one in (waiting, probe):
        hashed = address_hash(one.recipient)
        row = Suppression(hashed, EVERY_PURPOSE, True, "unsubscribed", datetime.now(UTC), "test")
        write(post.settings, topics.SUPPRESSIONS, [(suppression_key(hashed, EVERY_PURPOSE), codec.encode(row))])
    until(lambda: ended_at_once(post, email(probe.recipient)), "the sender knows")


def ended_at_once(post: Post, one: EmailQueued) -> bool:
    post.queue(one)
    return bool(post.standing(one))


def test_a_replay_sends_nothing(own: Post) -> None:
    """X-10: the lane again from where these mails begin, with the ledger and without it (then it is built anew from the topic).

    The outcomes stand beside their mails, even if a foreign client placed those otherwise than we would.
    """
    beginning = at_the_end(own.settings)
    mails = [email() for _ in range(100)]
    own.queue(*mails[:50])
    queue(own.settings, mails[50:], partitioner="consistent_random")
    with own.sender() as agent:
        own.until_they_stand((SENT, 1), *mails)
        own.until_idle()
        assert agent.stop()[0] == 0
    for _ in range(2):
        until(lambda: rewound(own.settings, beginning), "the group is empty, and moved back")
        with own.sender() as agent:
            own.until_idle()
            assert agent.stop()[0] == 0
        for path in (own.settings.var / "ledger" / "bulk").iterdir():
            path.unlink()
    assert [len(own.sink.copies(one.recipient)) for one in mails] == [1] * len(mails)
    assert all(own.said(one) == ["EmailAttempting", "EmailSent"] for one in mails)


CRASHES: tuple[tuple[str, tuple[EmailState, int], int], ...] = (
    ("before:EmailAttempting", (SENT, 1), 1),  # S0: nothing had begun
    ("after:EmailAttempting", (IN_DOUBT, 1), 0),  # before MAIL; the attempt is on record, so it is a doubt
    ("before:EmailSent", (IN_DOUBT, 1), 1),  # between the 250 and its record
    ("after:EmailSent", (SENT, 1), 1),  # recorded; only the acknowledgement is missing
)


@pytest.mark.parametrize(("point", "expected", "copies"), CRASHES, ids=[point for point, *_ in CRASHES])
def test_killed_at_any_point_it_sends_no_second_copy(own: Post, point: str, expected: tuple[EmailState, int], copies: int) -> None:
    """X-01, X-03, X-04 with `hold`: at most one copy, and every mail that may or may not have gone is listed as a doubt."""
    one = email()
    own.queue(one)
    with own.sender("tests.services.crashing_agent", point) as agent:
        assert agent.end() == -9
    with own.sender():
        own.until_they_stand(expected, one)
        own.until_idle()
    assert len(own.sink.copies(one.recipient)) == copies


PHASES = (("RCPT", 0), ("DATA", 0), ("DOT", 1))


@pytest.mark.parametrize("policy", ["hold", "resend"])
def test_killed_while_the_server_thinks(own: Post, policy: str) -> None:
    """X-01, X-02: kill -9 after RCPT, after DATA and after the dot; held, or once more with the same Message-ID, as the policy says."""
    mails = {phase: email(on_doubt=policy) for phase, _ in PHASES}
    gates = {phase: At(phase, gate=Event()) for phase, _ in PHASES}
    for phase, one in mails.items():
        own.sink.script(one.recipient, gates[phase])
    own.queue(*mails.values())
    with own.sender() as agent:
        for act in gates.values():
            until(act.reached.is_set, f"{act.phase} is reached")
        agent.kill()
    for act in gates.values():
        assert act.gate is not None
        act.gate.set()
    with own.sender():
        own.until_they_stand((IN_DOUBT, 1) if policy == "hold" else (SENT, 2), *mails.values())
        own.until_idle()
    for phase, before in PHASES:
        copies = own.sink.copies(mails[phase].recipient)
        assert (phase, len(copies)) == (phase, before + (policy == "resend"))
        assert len(set(copies)) <= 1


@pytest.mark.parametrize(("phase", "policy"), [("RCPT", "hold"), ("RCPT", "resend"), ("DOT", "hold")])
def test_a_frozen_sender_sends_nothing_more(own: Post, tmp_path: Path, phase: str, policy: str) -> None:
    """F-13: frozen past the session timeout while the server thinks; another takes over; thawed, it overwrites and doubles nothing."""
    one, waiting = email(on_doubt=policy), [email(on_doubt=policy) for _ in range(40)]
    act = At(phase, gate=Event())
    assert act.gate is not None
    own.sink.script(one.recipient, act)
    narrow = replace(own, settings=replace(own.settings, smtp_connections=1, smtp_timeout=30.0, metrics_port=free_ports(len(NAMES))))
    other = replace(own, settings=replace(narrow.settings, var=tmp_path / "other", smtp_connections=4, metrics_port=0))
    narrow.queue(one)
    with narrow.sender() as frozen:
        until(act.reached.is_set, f"{phase} is reached")
        narrow.queue(*waiting)  # they wait in the frozen sender for its only connection
        until(lambda: in_hand(narrow.settings) == 1 + len(waiting), "they are in its hands")
        frozen.freeze()
        with other.sender() as second:
            begun = BEGUN_PER_CONNECTION - 1  # the next in line, whose attempt is on record, shares the first one's fate
            until(lambda: other.standing(*waiting).count((SENT, 1)) >= len(waiting) - begun, "the others are sent")
            other.until_they_stand((IN_DOUBT, 1) if policy == "hold" else (SENT, 2), one)
            act.gate.set()
            frozen.thaw()
            other.until_they_stand((SENT, 2) if (phase, policy) != ("DOT", "hold") else (SENT, 1), one)
            until(lambda: {state for state, _ in other.standing(*waiting)} == {SENT}, "all are sent")
            other.until_idle()
            assert second.stop()[0] == 0
    assert [len(own.sink.copies(mail.recipient)) for mail in waiting] == [1] * len(waiting)
    assert len(own.sink.copies(one.recipient)) == 1


def in_hand(settings: Settings) -> int:
    """How many records the sender has taken and not yet acknowledged, by its metrics."""
    port = settings.metrics_port + NAMES.index(SENDER)
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=5) as answer:
        found = re.search(r'^espmail_in_work\{agent="send.bulk"\} ([0-9.]+)', answer.read().decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def test_told_to_stop_while_the_server_hangs(own: Post) -> None:
    """F-10: what can still end does; what cannot is a doubt for the next sender, and the process is gone in time."""
    one, gate = email(), Event()
    own.sink.script(one.recipient, At("DOT", gate=gate))
    own.queue(one)
    with own.sender("tests.services.hasty_agent") as agent:
        until(lambda: own.sink.copies(one.recipient), "the dot was sent")
        code, seconds = agent.stop()
    gate.set()
    assert code == 70
    assert seconds < 10
    with own.sender():
        own.until_they_stand((IN_DOUBT, 1), one)
    assert len(own.sink.copies(one.recipient)) == 1
