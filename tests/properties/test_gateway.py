"""Properties of what the gateway reads and refuses."""

from __future__ import annotations

import re
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from cli import mailgate
from gateway import smtp_in_rules as rules
from gateway.limits import Limits
from gateway.smtp_in_commands import LMTP, SMTP, Identity
from gateway.smtp_in_data import MailReader
from gateway.smtp_in_dialogue import Dialogue
from tests.services.gateway import HERE, SITE

LIMITS = Limits(line=20, header=60)
LINES = st.lists(st.one_of(st.binary(max_size=12), st.sampled_from([b".", b"..", b".x", b"", b"a."])), max_size=12)
NEXT = b"QUIT\r\n"


def read_from(pieces: list[bytes], limit: int) -> tuple[bytes | None, bytes]:
    """What is read, and what is left unread."""
    reader = MailReader(limit)
    for number, piece in enumerate(pieces, 1):
        rest = reader.feed(piece)
        if rest is not None:
            return reader.content(), rest + b"".join(pieces[number:])
    raise AssertionError("the mail has no end")


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(LINES, st.lists(st.integers(1, 9), max_size=40))
def test_a_mail_is_read_as_it_was_meant_and_no_byte_further(lines: list[bytes], sizes: list[int]) -> None:
    whole = [line + b"\r\n" for line in b"\r\n".join(lines).split(b"\r\n")]
    content = b"".join(whole)
    stuffed = b"".join(b"." * line.startswith(b".") + line for line in whole)
    read, left = read_from(cut(stuffed + b".\r\n" + NEXT, sizes), 10_000)
    assert read == content
    assert left == NEXT


@given(st.binary(max_size=300), st.integers(0, 200))
def test_a_mail_beyond_the_limit_is_dropped_whole(data: bytes, limit: int) -> None:
    content = data.replace(b".", b"") + b"\r\n"
    read, left = read_from([content + b".\r\n" + NEXT], limit)
    assert read == (content if len(content) <= limit else None)
    assert left == NEXT


def test_a_mail_is_in_memory_once_while_it_is_stored() -> None:
    tracemalloc.start()
    try:
        reader = MailReader(2_000_000)
        reader.feed(b"x" * 998_000 + b"\r\n.\r\n")
        content = reader.content()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert content is not None
    assert kept < 1.5 * len(content)


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(0, 100), st.integers(0, 100))
def test_the_room_that_is_asked_for_is_the_room_that_is_used(pieces: list[bytes], limit: int, room: int) -> None:
    asked: list[int] = []

    def has_room(size: int) -> bool:
        asked.append(size)
        return size <= room

    reader = MailReader(limit, has_room)
    size = 0
    for piece in pieces:
        size += len(piece)
        if reader.feed(piece) is not None:
            break
        dropped = max(asked, default=0) > room or size > limit + len(b".\r\n")
        assert asked[-1] == (0 if dropped else size)


@given(st.binary(max_size=200))
def test_what_mailgate_says_is_what_is_read(message: bytes) -> None:
    canonical = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    canonical += b"" if not canonical or canonical.endswith(b"\r\n") else b"\r\n"
    read, left = read_from([mailgate.on_the_wire(message) + NEXT], 10_000)
    assert (read, left) == (canonical, NEXT)


@given(st.one_of(st.binary(max_size=200), LINES.map(b"\r\n".join)))
def test_content_is_refused_exactly_for_its_faults(content: bytes) -> None:
    lines = content.split(b"\r\n")
    bare = any(end in line for line in lines for end in (b"\r", b"\n", b"\0"))
    long = any(len(line) > LIMITS.line for line in lines)
    header = lines[: lines.index(b"")] if b"" in lines[:-1] else lines
    big = len(b"\r\n".join(header)) > LIMITS.header
    expected = rules.BARE_LINE_END if bare else rules.LONG_LINE if long else rules.BIG_HEADER if big else None
    assert rules.refuse_content(content, LIMITS) == expected


ADDRESSES = st.one_of(
    st.text(max_size=30),
    st.builds(
        "{}@{}".format,
        st.text('ab.%!@"<>+ \t\r\né', max_size=12),
        st.sampled_from([SITE, SITE.upper(), "evil.org", "[127.0.0.1]", f"a@{SITE}"]),
    ),
)


@given(ADDRESSES, st.booleans())
def test_only_plain_addresses_of_ours_are_taken(address: str, utf8: bool) -> None:
    if rules.refuse_recipient(address, 0, LIMITS, HERE, utf8=utf8) is None:
        local, _, domain = address.partition("@")
        assert domain.lower() == SITE
        assert not set(local) & set('%!@"<> \t\r\n\\')
        assert utf8 or address.isascii()


@given(st.text(max_size=80))
def test_a_path_holds_nothing_that_ends_it(text: str) -> None:
    split = rules.split_path(text)
    assert split is None or not set(split[0]) & set("<> \r\n\t\0")


REPLIES = [value for value in vars(rules).values() if isinstance(value, str) and value[:3].isdigit()]


def test_a_reply_is_one_line_with_both_codes() -> None:
    """RFC 2034: a 354 and a 220 alone go without the enhanced one, and 220 may have it."""
    assert len(REPLIES) > 30
    for reply in REPLIES:
        assert re.fullmatch(r"354 [ -~]+|([245])\d\d \1\.\d{1,3}\.\d{1,3} [ -~]+", reply), reply


WORDS = st.sampled_from([*SMTP, *LMTP, b"", b"HELO\0", b"BDAT"])
ARGUMENTS = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"", b"FROM:<a@x.org>", b"FROM:<>", b"FROM:<a@x.org> SIZE=9", f"TO:<m1-class@{SITE}>".encode(), b"x"]),
)


@given(st.booleans(), st.lists(st.tuples(WORDS, ARGUMENTS, st.booleans()), max_size=40))
def test_every_line_has_one_reply_that_is_ours(lmtp: bool, lines: list[tuple[bytes, bytes, bool]]) -> None:
    dialogue = Dialogue(Identity("gateway.test"), LIMITS, HERE, client="", lmtp=lmtp)
    for verb, argument, alone in lines:
        reply = dialogue.answer(verb + b" " + argument, alone=alone)
        assert reply in REPLIES or reply.startswith(("250 gateway.test", "250-gateway.test\r\n250-SIZE "))
        if reply == rules.SEND_IT:
            assert alone
            envelope = dialogue.envelope()
            assert envelope.rcpt_tos
            assert envelope.protocol in ("LMTP", "ESMTP", "SMTP")
            assert dialogue.finish(rules.ACCEPTED).split("\r\n") == [rules.ACCEPTED] * (len(envelope.rcpt_tos) if lmtp else 1)
            assert dialogue.envelope().rcpt_tos == ()
