"""Compacted topics in memory: the newest row of each key, tombstones, and ready only at the end, on the real broker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from streams import codec, topics
from streams.events import RedirectRow
from streams.settings import Settings
from streams.state.table import TableUnready, TopicTables
from tests.services.mails import write
from tests.services.until import until

pytestmark = pytest.mark.broker


def row(original: str, destination: str) -> tuple[bytes, bytes]:
    return original.encode(), codec.encode(RedirectRow(original, destination))


@pytest.fixture
def tables(kafka: Settings) -> Iterator[TopicTables]:
    tables = TopicTables(kafka.bootstrap, [topics.REDIRECTS])
    yield tables
    tables.close()


def mine(tables: TopicTables, tag: str) -> dict[str, str]:
    return {one.original: one.destination for one in tables.snapshot(topics.REDIRECTS) if one.original.startswith(tag)}


def test_ready_means_everything_that_stood_there(kafka: Settings) -> None:
    tag = uuid.uuid4().hex
    write(kafka, topics.REDIRECTS, [row(f"{tag}{number}", "x@y.org") for number in range(2000)])
    write(kafka, topics.REDIRECTS, [row(f"{tag}0", "newer@y.org"), (f"{tag}1".encode(), None)])
    tables = TopicTables(kafka.bootstrap, [topics.REDIRECTS])
    tables.wait_ready()
    found = mine(tables, tag)
    tables.close()
    assert len(found) == 1999
    assert found[f"{tag}0"] == "newer@y.org"
    assert f"{tag}1" not in found


def test_a_change_is_followed(kafka: Settings, tables: TopicTables) -> None:
    tag = uuid.uuid4().hex
    tables.wait_ready()
    before = tables.version
    write(kafka, topics.REDIRECTS, [row(tag, "one@y.org")])
    until(lambda: mine(tables, tag) == {tag: "one@y.org"}, "the row is there")
    assert tables.version > before
    write(kafka, topics.REDIRECTS, [(tag.encode(), None)])
    until(lambda: not mine(tables, tag), "the row is gone")


def test_a_damaged_row_leaves_the_old_one_and_the_others(kafka: Settings, tables: TopicTables) -> None:
    tag = uuid.uuid4().hex
    write(kafka, topics.REDIRECTS, [row(f"{tag}a", "old@y.org"), (f"{tag}a".encode(), b"junk"), row(f"{tag}b", "b@y.org")])
    until(lambda: len(mine(tables, tag)) == 2, "both rows are there")
    assert mine(tables, tag) == {f"{tag}a": "old@y.org", f"{tag}b": "b@y.org"}
    write(kafka, topics.REDIRECTS, [(f"{tag}{letter}".encode(), None) for letter in "ab"])


async def test_who_catches_up_knows_what_stood_there(kafka: Settings, tables: TopicTables) -> None:
    """At once, however many ask, and also of a row that is gone."""
    tag = uuid.uuid4().hex
    for number in range(5):
        await asyncio.to_thread(write, kafka, topics.REDIRECTS, [row(tag, f"{number}@y.org")])
        await asyncio.gather(*(tables.catch_up() for _ in range(20)))
        assert mine(tables, tag) == {tag: f"{number}@y.org"}
    await asyncio.to_thread(write, kafka, topics.REDIRECTS, [(tag.encode(), None)])
    await tables.catch_up()
    assert mine(tables, tag) == {}


async def test_many_who_ask_share_a_question(kafka: Settings, tables: TopicTables, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ends = [], tables._ends

    def counted() -> object:
        asked.append(1)
        return ends()

    monkeypatch.setattr(tables, "_ends", counted)
    await asyncio.gather(*(tables.catch_up() for _ in range(200)))
    assert len(asked) <= 2


async def test_who_cannot_catch_up_is_told_so(kafka: Settings) -> None:
    tables = TopicTables(kafka.bootstrap, ["there-is-no-such-topic"])
    try:
        with pytest.raises(TableUnready, match="cannot ask for the ends of there-is-no-such-topic"):
            await tables.catch_up(0.0)
    finally:
        await asyncio.to_thread(tables.close)


def test_a_topic_that_is_not_there_is_never_ready(kafka: Settings) -> None:
    tables = TopicTables(kafka.bootstrap, ["there-is-no-such-topic"])
    try:
        with pytest.raises(TableUnready, match="there-is-no-such-topic"):
            tables.wait_ready(1.0)
    finally:
        tables.close()
