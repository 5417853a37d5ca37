"""Row I-19: whatever is said in whatever order, each reply is a reply, nothing of ours breaks, and the next client is served."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import smtp_in_rules as rules
from gateway.bodies_files import FileBodies
from gateway.limits import Limits
from tests.services.gateway import LIST, Client, received, running_gateway
from tests.services.memory import MemoryPublisher

REPLY = re.compile(rb"(?:\d\d\d[ -][^\r\n]*\r\n)*")
SAID = st.one_of(
    st.sampled_from(
        [
            b"EHLO x\r\n",
            b"HELO x\r\n",
            b"LHLO x\r\n",
            b"MAIL FROM:<a@x.org>\r\n",
            b"MAIL FROM:<> SIZE=5 BODY=8BITMIME SMTPUTF8\r\n",
            f"RCPT TO:<{LIST}>\r\n".encode(),
            b"RCPT TO:<x@evil.org>\r\n",
            b"DATA\r\n",
            b"a: b\r\n\r\nc\r\n.\r\n",
            b".\r\n",
            b"\n.\r\n",
            b"RSET\r\n",
            b"NOOP\r\n",
            b"VRFY x\r\n",
            b"STARTTLS\r\n",
            b"AUTH PLAIN =\r\n",
            b"HELP MAIL\r\n",
            b"QUIT\r\n",
            b"BDAT 5 LAST\r\nhello",
        ]
    ),
    st.binary(max_size=40),
    st.binary(max_size=12).map(lambda rest: b"MAIL FROM:<" + rest + b">\r\n"),
    st.binary(max_size=12).map(lambda rest: b"RCPT TO:<" + rest + b">\r\n"),
)


async def play(folder: Path, said: list[bytes], *, lmtp: bool) -> MemoryPublisher:
    """Say it all, pausing for an answer behind each; then somebody else hands in a mail."""
    publisher = MemoryPublisher()
    async with running_gateway(folder, publisher, bodies=FileBodies(folder / "bodies")) as gateway:
        odd = await gateway.knock(lmtp=lmtp)
        heard = await listen(odd, said)
        assert REPLY.fullmatch(heard), heard
        next_one = await gateway.smtp()
        await next_one.open_mail()
        assert await next_one.send(b"x: next\r\n\r\n.\r\n") == rules.ACCEPTED
    return publisher


async def listen(client: Client, said: list[bytes]) -> bytes:
    """All that the server says until it has nothing more to say, or hangs up."""
    heard = bytearray()
    for words in [*said, b"\r\nQUIT\r\n"]:
        if not client.writer.is_closing():  # the server may have had enough
            client.writer.write(words)
        for _ in range(3):  # the server's turns: to read, to answer, to be heard
            await asyncio.sleep(0)
    if not client.writer.is_closing():
        client.writer.write_eof()
    with contextlib.suppress(OSError):  # hung up on us while we were still talking
        while piece := await asyncio.wait_for(client.reader.read(65_536), 20):
            heard += piece
    return bytes(heard)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SAID, max_size=12), st.booleans())
def test_any_conversation(tmp_path: Path, caplog: pytest.LogCaptureFixture, said: list[bytes], lmtp: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        publisher = runner.run(play(tmp_path, said, lmtp=lmtp))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    for event in received(publisher.records):
        assert event.rcpt_to == LIST
        assert event.content is not None
        assert rules.refuse_content(event.content, Limits()) is None
