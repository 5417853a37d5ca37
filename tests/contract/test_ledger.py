"""A ledger is of one topic on one cluster: with the offsets of another it would not know of outcomes, and mails would go out again."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams import codec
from streams.domain.states import EmailState
from streams.events import EmailAttempting, EmailSent
from streams.settings import Settings
from streams.state.catch_up import LedgerUnusable, read_up
from streams.state.done import chunk_key, expanded_entry
from streams.state.ledger import Ledger
from tests.services.mails import write
from tests.services.odd import NOW
from tests.services.until import until

pytestmark = pytest.mark.broker


def make(kafka: Settings, topic: str) -> None:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    until(lambda: topic in client.list_topics().topics, "the topic is there")


def delete(kafka: Settings, topic: str) -> None:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.delete_topics([topic])[topic].result()
    until(lambda: topic not in client.list_topics().topics, "the topic is gone")


def send(kafka: Settings, topic: str, number: int) -> list[str]:
    """So many mails that were sent, by their ids."""
    ids = [str(uuid.uuid4()) for _ in range(number)]
    sent = [EmailSent(one, None, NOW, 1, "<x@y>", "mta", "250 ok", 1) for one in ids]
    write(kafka, topic, [(event.email_id.encode(), codec.encode(event)) for event in sent])
    return ids


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one(kafka: Settings, tmp_path: Path) -> None:
    """Though it is longer by now: what stands before the remembered offset was never read."""
    topic, path = f"ledger-{uuid.uuid4().hex[:8]}", tmp_path / "0.sqlite"
    make(kafka, topic)
    send(kafka, topic, 3)
    read_up(Ledger(path), kafka.bootstrap, 0, topic)
    delete(kafka, topic)
    make(kafka, topic)
    new = send(kafka, topic, 5)
    with pytest.raises(LedgerUnusable, match="remove the ledger folder"):
        read_up(Ledger(path), kafka.bootstrap, 0, topic)
    path.unlink()
    ledger = Ledger(path)
    read_up(ledger, kafka.bootstrap, 0, topic)
    assert [ledger.state(one) for one in new] == [(EmailState.SENT, 1)] * 5
    delete(kafka, topic)


def test_what_cannot_be_read_is_the_doubt_of_its_own_email_alone(kafka: Settings, tmp_path: Path) -> None:
    """It may have been an outcome, of a newer release for one: that mail must not go again, and every other goes on."""
    topic = f"ledger-{uuid.uuid4().hex[:8]}"
    make(kafka, topic)
    (sent,) = send(kafka, topic, 1)
    under_way, unknown = str(uuid.uuid4()), str(uuid.uuid4())
    attempting = EmailAttempting(under_way, None, NOW, 2, "owner", "hash", "emails.bulk", 0, 7)
    write(kafka, topic, [(under_way.encode(), codec.encode(attempting))])
    write(kafka, topic, [(one, b"junk") for one in (sent.encode(), under_way.encode(), unknown.encode(), b"\xff", b"")])
    after = send(kafka, topic, 2)
    ledger = Ledger(tmp_path / "0.sqlite")
    read_up(ledger, kafka.bootstrap, 0, topic)
    assert ledger.next_offset == 9
    assert ledger.state(sent) == (EmailState.SENT, 1)
    assert ledger.state(under_way) == (EmailState.IN_DOUBT, 2)
    assert ledger.state(unknown) == (EmailState.IN_DOUBT, 1)
    assert [ledger.state(one) for one in after] == [(EmailState.SENT, 1)] * 2
    delete(kafka, topic)


def test_an_expansion_that_cannot_be_read_is_done_again(kafka: Settings, tmp_path: Path) -> None:
    topic = f"ledger-{uuid.uuid4().hex[:8]}"
    make(kafka, topic)
    write(kafka, topic, [(b"r1", b"junk")])
    ledger = Ledger(tmp_path / "0.sqlite", expanded_entry)
    read_up(ledger, kafka.bootstrap, 0, topic, expanded_entry)
    assert (ledger.next_offset, ledger.number(chunk_key("r1", 0))) == (1, None)
    delete(kafka, topic)


def test_a_ledger_is_read_on_where_it_was(kafka: Settings, tmp_path: Path) -> None:
    topic, path = f"ledger-{uuid.uuid4().hex[:8]}", tmp_path / "0.sqlite"
    make(kafka, topic)
    ids = send(kafka, topic, 3)
    read_up(Ledger(path), kafka.bootstrap, 0, topic)
    ids += send(kafka, topic, 2)
    ledger = Ledger(path)
    read_up(ledger, kafka.bootstrap, 0, topic)
    assert ledger.next_offset == 5
    assert [ledger.state(one) for one in ids] == [(EmailState.SENT, 1)] * 5
    delete(kafka, topic)
