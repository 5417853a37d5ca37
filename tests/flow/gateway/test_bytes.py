"""Rows I-05, I-07: what may be in a mail, and where it ends."""

from __future__ import annotations

import asyncio

import pytest

from gateway import smtp_in_rules as rules
from tests.services.gateway import DOT, LIST, Client, received
from tests.services.memory import MemoryPublisher

SMUGGLED = b"MAIL FROM:<evil@x.org>\r\nRCPT TO:<" + LIST.encode() + b">\r\nDATA\r\nsmuggled\r\n"


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\r\n.\r\r\n", b"\r.\r\n", b"\n.\r"])
async def test_i05_no_other_end_of_data_starts_a_second_mail(client: Client, publisher: MemoryPublisher, end: bytes) -> None:
    await client.open_mail()
    assert await client.send(b"Subject: first\r\n\r\nbody" + end + SMUGGLED + DOT) == rules.BARE_LINE_END
    assert await client.say("NOOP") == rules.OK
    assert publisher.records == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"no header, no body\r\n",
        b"Subject: only headers\r\n",
        b"\r\n\r\nonly a body\r\n",
        b"..\r\n.leading\r\n...\r\n",
        b".",
        b"Subject: caf\xe9\r\n\r\n\xff\xfe\x80\r\n",
        "Subject: zoë\r\n\r\n☃\r\n".encode(),
        b"x: " + b"y" * 995 + b"\r\n\r\n" + b"z" * 998 + b"\r\n",
        b"ends in a dot.\r\nand so on.\r\n",
        b"\t\x01\x1b[31m\x7f\r\n",
    ],
    ids=range(12),
)
async def test_i07_what_is_taken_is_kept_byte_for_byte(client: Client, publisher: MemoryPublisher, content: bytes) -> None:
    await client.open_mail()
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    line_end = b"" if not content or content.endswith(b"\r\n") else b"\r\n"
    assert await client.send(stuffed + line_end + DOT) == rules.ACCEPTED
    assert [event.content for event in received(publisher.records)] == [content + line_end]


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b"Subject: a\r\n\r\nnul \0\r\n", rules.BARE_LINE_END),
        (b"y" * 999 + b"\r\n", rules.LONG_LINE),
        (b"Subject: a\r\n\r\n" + b"y" * 200_000 + b"\r\n", rules.LONG_LINE),
        (b"X-Y: z\r\n" * 13_000 + b"\r\nbody\r\n", rules.BIG_HEADER),
        (b"X-Y: z\r\n" * 13_000, rules.BIG_HEADER),
    ],
    ids=["NUL", "line of 999", "line of 200,000", "header", "header without end"],
)
async def test_i07_what_cannot_be_passed_on_is_refused(client: Client, publisher: MemoryPublisher, content: bytes, reply: str) -> None:
    await client.open_mail()
    assert await client.send(content + DOT) == reply
    assert publisher.records == []


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7])
async def test_the_end_is_found_however_the_bytes_arrive(client: Client, publisher: MemoryPublisher, step: int) -> None:
    await client.open_mail()
    data = b"a.\r\n..\r\n.b\r\n\r\n" + DOT
    for start in range(0, len(data), step):
        client.writer.write(data[start : start + step])
        await client.writer.drain()
        await asyncio.sleep(0)
    assert await client.reply() == rules.ACCEPTED
    assert [event.content for event in received(publisher.records)] == [b"a.\r\n.\r\nb\r\n\r\n"]
