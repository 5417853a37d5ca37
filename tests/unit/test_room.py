"""Room in memory for big messages; files that are read once for all recipients."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.bodies_files import FileBodies
from streams.agents import message
from streams.agents.message import MessageBytes
from streams.events import Attachment, ClaimCheck, Composed, EmailQueued, Relayed
from streams.room import SMALL, Room, size_of
from tests.services.mails import email

BIG = 10 * SMALL


class Holder:
    """Takes room and keeps it until it is told to leave."""

    def __init__(self, room: Room, size: int) -> None:
        self.leave = asyncio.Event()
        self.inside = False
        self.task = asyncio.create_task(self._hold(room, size))

    async def _hold(self, room: Room, size: int) -> None:
        async with room.for_bytes(size):
            self.inside = True
            await self.leave.wait()

    async def gone(self) -> None:
        self.leave.set()
        await self.task


async def settled() -> None:
    """Until everybody who can go on has done so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_big_messages_wait_for_each_other_and_small_ones_for_nobody() -> None:
    room = Room(3 * BIG)
    big = [Holder(room, BIG) for _ in range(5)]
    small = [Holder(room, SMALL) for _ in range(100)]
    await settled()
    assert [holder.inside for holder in big] == [True, True, True, False, False]
    assert all(holder.inside for holder in small)
    await big[1].gone()
    await settled()
    assert [holder.inside for holder in big] == [True, True, True, True, False]
    await asyncio.gather(*(holder.gone() for holder in [*big, *small]))


async def test_one_that_is_larger_than_everything_has_it_alone() -> None:
    room = Room(3 * BIG)
    larger, other = Holder(room, 99 * BIG), Holder(room, BIG)
    await settled()
    assert (larger.inside, other.inside) == (True, False)
    await larger.gone()
    await settled()
    assert other.inside
    await other.gone()


async def test_room_comes_back_from_who_fails_or_is_cancelled() -> None:
    room = Room(BIG)
    holder, waiting = Holder(room, BIG), Holder(room, BIG)
    await settled()
    for one in (waiting, holder):
        one.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.task
    last = Holder(room, BIG)
    await settled()
    assert last.inside
    await last.gone()


def attached(*claims: ClaimCheck) -> EmailQueued:
    one = email()
    assert isinstance(one.content, Composed)
    return replace(one, content=replace(one.content, attachments=[Attachment("a.pdf", "application/pdf", None, claim) for claim in claims]))


async def test_the_size_is_about_that_of_the_message(tmp_path: Path) -> None:
    bodies = FileBodies(tmp_path)
    one = attached(bodies.put(b"x" * 1_000_000), bodies.put(b"y" * 500_000))
    written, _ = await MessageBytes(bodies).of(one)
    assert len(written) == pytest.approx(size_of(one), rel=0.05)
    assert size_of(replace(one, content=Relayed(b"", None, ClaimCheck("k", "s", 77), 0))) == 77
    assert size_of(replace(one, content=Relayed(b"", b"abc", None, 0))) == 0


async def test_a_file_is_read_once_for_all_recipients(tmp_path: Path) -> None:
    bodies = FileBodies(tmp_path)
    claim = bodies.put(b"x" * 1000)
    writer = MessageBytes(bodies)
    first, _ = await writer.of(attached(claim))
    (tmp_path / claim.key).unlink()
    again, _ = await writer.of(attached(claim))
    assert b"eHh4" in first
    assert b"eHh4" in again


async def test_what_is_kept_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "KEPT_BYTES", 3000)
    bodies = FileBodies(tmp_path)
    writer = MessageBytes(bodies)
    claims = [bodies.put(bytes([n]) * 1000) for n in range(4)]
    for claim in claims:
        await writer.of(attached(claim))
    assert list(writer._kept) == [claim.key for claim in claims[1:]]
