"""Routing is total on arbitrary bytes, touches no body, and reaches nobody whom a handler did not name."""

from __future__ import annotations

import email.header
import re

from hypothesis import given
from hypothesis import strategies as st

from cli.inbound import answer
from streams import codec
from streams.domain.addresses import CONTROL
from streams.domain.routing.author import Unclear, parse_from
from streams.domain.routing.decide import decide
from streams.domain.routing.fields import Head, canonical, scan
from streams.domain.routing.outcome import to_events
from streams.domain.routing.words import decoded, encoded
from streams.events import Relayed
from tests.services.inbound import NOW, TESS, content, directory, mail

DIRECTORY = directory(
    redirects=[{"original": "board", "destination": "a@x.org, m123-class@yale.learningu.org, board@yale.learningu.org"}],
    email_lists=[
        {"seq": 20, "regex": r"^\w(\d+)-(class|teachers|students)$", "handler": "ClassList", "subject_prefix": "ÉSP"},
        {"seq": 30, "regex": "^(.*)$", "handler": "PlainList", "subject_prefix": "B"},
        {"seq": 40, "regex": "^(.*)$", "handler": "UserEmail"},
    ],
)
NAMED = {"info@yale.learningu.org", "info@learningu.org", "tess@x.org", "ann@x.org", "bob@x.org", "cy@x.org", "ada@x.org", "a@x.org"}
LOCALS = st.sampled_from(["m123-class", "board", "info", "tess", "ann", "nobody", "m9-class"])
NAMES = st.sampled_from(
    b"From Subject To Cc Bcc Message-ID References Received DKIM-Signature X-Client-IP Reply-To List-Id Sender Delivered-To Precedence "
    b"Auto-Submitted Authentication-Results X".split()
)
WORDS = b'tess@x.org|Tess <tess@x.org>|=?utf-8?q?a=0D=0ABcc=3A_evil=40y.org?=|(|)|"|<|>|,|:|evil@y.org|=?|?=| |<a@b>|[M123]'.split(b"|")
BREAKS = [b"\r\n ", b"\r\n\tBcc: evil@y.org", b"\n", b"\r", b"\0", b"\xff", b"caf\xc3\xa9"]
PIECES = st.sampled_from(WORDS + BREAKS)
VALUES = st.lists(PIECES | st.binary(max_size=12), max_size=6).map(b"".join)
HEADS = st.lists(st.tuples(NAMES, VALUES), max_size=8).map(lambda pairs: b"".join(b"%s: %s\r\n" % pair for pair in pairs))
MAILS = st.binary(max_size=400) | st.tuples(HEADS, st.binary(max_size=80)).map(lambda parts: parts[0] + b"\r\n" + parts[1])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
LINES = re.compile(rb"(?:[^\r\n]*\r\n)*")


@given(MAILS, LOCALS, st.sampled_from(["", TESS, "x@y.org"]), st.booleans())
def test_any_bytes_get_a_decision(raw: bytes, local: str, mail_from: str, approved: bool) -> None:
    inbound = mail(canonical(raw), local, mail_from)
    decision = decide(inbound, DIRECTORY, approved=approved)
    events = to_events(decision, inbound, NOW, rules_hash=DIRECTORY.rules_hash)
    answer(decision, inbound)
    assert decision.body_start == scan(inbound.content).body_start
    assert {email.recipient for email in events.emails} <= NAMED
    assert len({email.email_id for email in events.emails}) == len(events.emails)
    for event in (*events.emails, events.routing):
        assert codec.decode(codec.encode(event)) == event


@given(MAILS, LOCALS)
def test_copies_have_a_whole_header_and_the_same_body(raw: bytes, local: str) -> None:
    inbound = mail(canonical(b"From: tess@x.org\r\n" + raw), local)
    decision = decide(inbound, DIRECTORY, approved=True)
    for queued in to_events(decision, inbound, NOW, rules_hash="").emails:
        assert isinstance(queued.content, Relayed)
        header = queued.content.header
        assert LINES.fullmatch(header)
        assert b"\r\n\r\n" not in b"\r\n" + header
        assert {field.name for field in scan(header + b"\r\n").fields}.isdisjoint({"bcc", "return-path"})
        if queued.purpose != "notice":
            assert queued.content.body == inbound.content[decision.body_start :]


@given(TEXTS, TEXTS)
def test_no_text_of_ours_makes_another_field(program: str, prefix: str) -> None:
    plain, odd = _first_header("P", "B"), _first_header(program, prefix)
    assert [field.name for field in odd.fields] == [field.name for field in plain.fields]
    assert odd.stray == b""


@given(TEXTS)
def test_encoded_words_are_read_back_by_the_stdlib(text: str) -> None:
    written = encoded(text)
    expected = CONTROL.sub(" ", text)
    assert decoded(written.decode()) == expected
    if b"=?" in written:
        assert all(len(word) <= 75 for word in written.split(b" "))
        assert str(email.header.make_header(email.header.decode_header(written.decode()))) == expected


@given(st.binary(max_size=200))
def test_canonical_line_ends_are_stable(raw: bytes) -> None:
    once = canonical(raw)
    assert canonical(once) == once
    assert b"\r" not in once.replace(b"\r\n", b"")
    assert b"\n" not in once.replace(b"\r\n", b"")


@given(st.text(alphabet='ab@x.org<>",:;()\\= \t?', max_size=40))
def test_a_named_sender_is_the_only_address_there(text: str) -> None:
    found = parse_from(text)
    if not isinstance(found, Unclear):
        outside = re.sub(r'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)', " ", text)
        assert outside.count("@") == 1
        assert found.address in text


def _first_header(program: str, prefix: str) -> Head:
    """The header of the director's copy on a list with this program name and subject prefix."""
    classes = [{"class_id": 1, "category": "M", "program": {"name": program, "director_email": "a@x.org"}, "teachers": ["7"]}]
    lists = [{"seq": 1, "regex": r"^\w(\d+)-(class)$", "handler": "ClassList", "subject_prefix": prefix}]
    decision = decide(mail(content(), "m1-class"), directory(classes=classes, email_lists=lists))
    return scan(decision.messages[0].header + b"\r\n")
