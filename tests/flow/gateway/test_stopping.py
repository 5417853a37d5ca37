"""Told to stop, the gateway finishes what is open."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway import smtp_in_rules as rules
from gateway.limits import Limits
from streams.publisher import Record
from tests.services.gateway import DOT, MAIL, received, running_gateway
from tests.services.memory import MemoryPublisher


async def test_a_stop_finishes_the_open_mail_and_sends_the_idle_away(tmp_path: Path, publisher: MemoryPublisher) -> None:
    async with running_gateway(tmp_path, publisher) as gateway:
        idle, busy = await gateway.smtp(), await gateway.smtp()
        await busy.open_mail()
        busy.writer.write(MAIL[:10])
        stopping = asyncio.create_task(gateway.reception.stop())
        assert await idle.reply() == rules.STOPPING
        assert await busy.send(MAIL[10:] + DOT) == rules.ACCEPTED
        assert await busy.reply() == rules.STOPPING
        await stopping
    assert [record_content(record) for record in publisher.records] == [MAIL]


async def test_a_stop_does_not_wait_for_ever(tmp_path: Path, publisher: MemoryPublisher) -> None:
    async with running_gateway(tmp_path, publisher, limits=Limits(drain_s=0.1)) as gateway:
        client = await gateway.smtp()
        await client.open_mail()
        await gateway.reception.stop()
        assert await client.reply() == ""


def record_content(record: Record) -> bytes | None:
    return received([record])[0].content
