"""No more emails are between attempt and outcome than may be doubts at once."""

from __future__ import annotations

import asyncio

from streams.begun import Begun


async def test_who_comes_too_many_waits_until_one_has_ended() -> None:
    begun = Begun(2)
    await begun.begin("a")
    await begun.begin("b")
    third = asyncio.create_task(begun.begin("c"))
    done, _ = await asyncio.wait({third}, timeout=0.01)
    assert not done
    begun.end("a")
    await third


async def test_beginning_and_ending_may_be_repeated() -> None:
    begun = Begun(1)
    await begun.begin("a")
    await begun.begin("a")
    begun.end("a")
    begun.end("a")
    begun.end("never begun")
    await begun.begin("b")
    second = asyncio.create_task(begun.begin("c"))
    done, _ = await asyncio.wait({second}, timeout=0.01)
    assert not done
    begun.end("b")
    await second
