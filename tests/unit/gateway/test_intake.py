"""From an envelope and bytes to records."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from gateway import intake
from gateway.bodies import claim_for
from gateway.bodies_files import FileBodies
from gateway.intake import Envelope, Intake, records
from streams import codec
from streams.domain.ids import inbound_id
from streams.publisher import PublishFailed
from tests.services.gateway import LIST, MAIL, NOW, SITE, received
from tests.services.memory import MemoryPublisher

ENVELOPE = Envelope("ann@x.org", (LIST, f"ann@{SITE}"), "192.0.2.1", "client.x.org", "ESMTP")


def taking(tmp_path: Path, publisher: MemoryPublisher, inline_limit: int = 100) -> Intake:
    return Intake(publisher, FileBodies(tmp_path), inline_limit, lambda: NOW)


def test_a_record_is_known_by_envelope_and_content() -> None:
    made = records(ENVELOPE, MAIL, None, NOW)
    assert list(made) == [inbound_id("ann@x.org", rcpt_to, MAIL) for rcpt_to in ENVELOPE.rcpt_tos]
    assert {key: record.key.decode() for key, record in made.items()} == {key: key for key in made}


def test_the_id_does_not_depend_on_where_the_body_is() -> None:
    assert list(records(ENVELOPE, MAIL, claim_for(MAIL), NOW)) == list(records(ENVELOPE, MAIL, None, NOW))


def test_all_records_of_a_mail_have_one_trace() -> None:
    made = records(ENVELOPE, MAIL, None, NOW).values()
    assert {record.trace for record in made} == {hashlib.sha256(MAIL).hexdigest()[:32]}


def test_a_recipient_named_twice_counts_once() -> None:
    twice = Envelope("a@x.org", (LIST, LIST.upper()), "", "", "LMTP")
    assert len(records(twice, MAIL, None, NOW)) == 1


async def test_a_big_body_is_stored_before_its_record(tmp_path: Path) -> None:
    publisher = MemoryPublisher(up=False)
    with pytest.raises(PublishFailed):
        await taking(tmp_path, publisher).accept(ENVELOPE, b"x" * 101)
    assert FileBodies(tmp_path).get(claim_for(b"x" * 101)) == b"x" * 101
    assert publisher.records == []


async def test_a_body_of_the_limit_is_inline(tmp_path: Path) -> None:
    publisher = MemoryPublisher()
    await taking(tmp_path, publisher).accept(ENVELOPE, b"x" * 100)
    assert {event.content for event in received(publisher.records)} == {b"x" * 100}


async def test_a_mail_to_many_is_hashed_and_stored_once(tmp_path: Path) -> None:
    publisher = MemoryPublisher()
    many = Envelope("a@x.org", tuple(f"p{number}@{SITE}" for number in range(100)), "", "", "LMTP")
    assert await taking(tmp_path, publisher).accept(many, b"y" * 1_000_000) == 100
    assert len({event.inbound_id for event in received(publisher.records)}) == 100
    assert {event.claim for event in received(publisher.records)} == {claim_for(b"y" * 1_000_000)}
    assert max(len(record.value or b"") for record in publisher.records) < 500


async def test_what_failed_is_new_when_it_comes_again(tmp_path: Path) -> None:
    publisher = MemoryPublisher(up=False)
    taker = taking(tmp_path, publisher)
    with pytest.raises(PublishFailed):
        await taker.accept(ENVELOPE, MAIL)
    publisher.up = True
    assert await taker.accept(ENVELOPE, MAIL) == 2
    assert await taker.accept(ENVELOPE, MAIL) == 0


async def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "REMEMBERED", 3)
    taker = taking(tmp_path, MemoryPublisher())
    one = Envelope("a@x.org", (LIST,), "", "", "LMTP")
    assert [await taker.accept(one, b"%d" % number) for number in (0, 1, 2, 3, 3, 1, 0)] == [1, 1, 1, 1, 0, 0, 1]


async def test_the_same_mail_twice_at_once_is_harmless(tmp_path: Path) -> None:
    publisher = MemoryPublisher()
    publisher.quick.clear()
    taker = taking(tmp_path, publisher)
    both = asyncio.gather(taker.accept(ENVELOPE, MAIL), taker.accept(ENVELOPE, MAIL))
    publisher.quick.set()
    await both
    assert len({codec.decode(record.value).inbound_id for record in publisher.records}) == 2
