"""The wire by example: how a field is folded and encoded, what is refused, which encoding a body gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.domain.compose import compose, needs_smtputf8, relay
from streams.domain.mime_fields import field
from streams.domain.mime_parts import file_part, text_part
from streams.events import Attachment, ClaimCheck, Composed, Header, Relayed
from tests.services.example import HEAD, MAIL

LINK = f"<https://yale.learningu.org/mail/unsubscribe/{'a' * 200}>"
FIELDS = (
    ("Subject", "Hi", "Subject: Hi"),
    ("Subject", "  Hi  ", "Subject: Hi"),
    ("Subject", "", "Subject:"),
    ("Subject", "café", "Subject: =?utf-8?q?caf=C3=A9?="),
    ("Subject", "日本語の件名", "Subject: =?utf-8?b?5pel5pys6Kqe44Gu5Lu25ZCN?="),
    ("Subject", "=?utf-8?q?x?=", "Subject: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?="),
    ("Subject", "tab\there", "Subject: =?utf-8?q?tab=09here?="),
    ("Subject", f"{'word ' * 14}and the end", f"Subject: {'word ' * 12}word\r\n word and the end"),
    ("Subject", "é" * 40, f"Subject: =?utf-8?b?{'w6nDqcOp' * 6}w6k=?=\r\n =?utf-8?b?{'w6nDqcOp' * 7}?="),
    ("X-Note", "a" * 120, f"X-Note: {'a' * 120}"),
    ("From", "Yale Splash <info@yale.learningu.org>", "From: Yale Splash <info@yale.learningu.org>"),
    ("To", '"Ann Lee" <ann@x.org>', 'To: "Ann Lee" <ann@x.org>'),
    ("To", "ann@x.org", "To: ann@x.org"),
    ("To", "<ann@x.org>", "To: ann@x.org"),
    ("To", '"Al \\"Q\\" \\\\ B" <al@x.org>', 'To: "Al \\"Q\\" \\\\ B" <al@x.org>'),
    ("To", '"Ann Lee" <"a b"@x.org>', 'To: "Ann Lee" <"a b"@x.org>'),
    ("To", "Dr. Lee <lee@x.org>", 'To: "Dr. Lee" <lee@x.org>'),
    ("To", '"Renée" <r@bücher.example>', "To: =?utf-8?q?Ren=C3=A9e?= <r@xn--bcher-kva.example>"),
    ("To", '"=?utf-8?q?x?=" <a@b.c>', "To: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <a@b.c>"),
    ("To", "用户@例子.测试", "To: 用户@xn--fsqu00a.xn--0zwm56d"),
    ("To", ", ".join(f'"Ann Number {n}" <ann{n}@x.org>' for n in range(4)),
     'To: "Ann Number 0" <ann0@x.org>, "Ann Number 1" <ann1@x.org>, "Ann Number 2"\r\n <ann2@x.org>, "Ann Number 3" <ann3@x.org>'),
    ("List-Unsubscribe", LINK, f"List-Unsubscribe: {LINK}"),
    ("List-Unsubscribe", f"{LINK}, <mailto:u@x.org>", f"List-Unsubscribe: {LINK},\r\n <mailto:u@x.org>"),
    ("List-Id", "Größe <a.yale.learningu.org>", "List-Id: =?utf-8?b?R3LDtsOfZQ==?= <a.yale.learningu.org>"),
    ("References", " ".join(f"<{n}{'x' * 40}@y.z>" for n in range(3)),
     f"References: <0{'x' * 40}@y.z>\r\n <1{'x' * 40}@y.z>\r\n <2{'x' * 40}@y.z>"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "value", "line"), FIELDS)
def test_a_field_is_written(name: str, value: str, line: str) -> None:
    assert field(name, value).decode() == f"{line}\r\n"


REFUSED = (
    ("Subject", "Hi\r\nBcc: x@y.z", "line break"),
    ("Subject", "Hi\n there", "line break"),
    ("Subject", "Hi\0", "NUL"),
    ("X-Bad\r\nBcc", "x", "no header name"),
    ("X Bad", "x", "no header name"),
    ("X-Ü", "x", "no header name"),
    ("", "x", "no header name"),
    ("Bcc", "x@y.z", "Bcc"),
    ("Return-Path", "<x@y.z>", "Return-Path"),
    ("MIME-Version", "1.0", "MIME-Version"),
    ("Content-Type", "text/html", "Content-Type"),
    ("Message-ID", "<ü@x>", "characters"),
    ("List-Id", "Größe <ü.x.org>", "characters"),
    ("List-Unsubscribe", f"<https://x.org/{'a' * 1000}>", "too long"),
    ("From", "Yale, Splash <info@x.org>, b@x.org", "something@domain"),
    ("To", '"Dee Fox" <>', "empty"),
    ("To", "", "empty"),
    ("To", "a@b.c <d@e.f>", "another address"),
)


@pytest.mark.parametrize(("name", "value", "why"), REFUSED)
def test_a_field_that_cannot_be_written_is_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        field(name, value)


BODIES = (
    ("plain ASCII", "Hi", b"7bit", b"Hi\r\n"),
    ("line ends of three kinds", "a\r\nb\rc\n", b"7bit", b"a\r\nb\r\nc\r\n"),
    ("an accent", "café", b"quoted-printable", b"caf=C3=A9\r\n"),
    ("other letters", "日本語", b"base64", b"5pel5pys6KqeDQo=\r\n"),
    ("a line too long", "a" * 999, b"quoted-printable", b"=\r\n".join([b"a" * 75] * 13 + [b"a" * 24]) + b"\r\n"),
    ("a line just short enough", "a" * 998, b"7bit", b"a" * 998 + b"\r\n"),
    ("NUL", "a\0b" * 9, b"quoted-printable", b"a=00b" * 9 + b"\r\n"),
    ("space before a line end", "é \nx", b"quoted-printable", b"=C3=A9=20\r\nx\r\n"),
    ("a lone dot", "é\n.\nx", b"quoted-printable", b"=C3=A9\r\n=2E\r\nx\r\n"),
    ("1200 accents on one line", "é" * 1200, b"quoted-printable", None),
)


@pytest.mark.parametrize(("text", "encoding", "body"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_gets_the_shortest_encoding_that_carries_it(text: str, encoding: bytes, body: bytes | None) -> None:
    head, _, written = text_part("plain", text).partition(b"\r\n\r\n")
    assert head == b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: ' + encoding
    assert body is None or written == body


FILENAMES = (
    ("map.png", 'filename="map.png"'),
    ("../../etc/passwd", 'filename="passwd"'),
    ("C:\\Users\\Ann\\map.png", 'filename="map.png"'),
    ("a\r\nBcc: x@y.z.png", 'filename="a Bcc: x@y.z.png"'),
    ("gnp\u202e.exe", 'filename="gnp_.exe"'),
    ("plan für Ann.pdf", "filename*=utf-8''plan%20f%C3%BCr%20Ann.pdf"),
    ('say "hi".txt', "filename*=utf-8''say%20%22hi%22.txt"),
    ("", 'filename="file"'),
    ("..", 'filename="file"'),
)


@pytest.mark.parametrize(("filename", "parameter"), FILENAMES)
def test_a_filename_cannot_deceive(filename: str, parameter: str) -> None:
    part = file_part(Attachment(filename, "image/png", None, ClaimCheck("k", "", 1)), b"x")
    assert f"Content-Disposition: attachment;\r\n {parameter}\r\n" in part.decode()


def test_a_foreign_message_is_only_a_file() -> None:
    part = file_part(Attachment("mail.eml", "message/rfc822", None, ClaimCheck("k", "", 1)), b"x")
    assert part.startswith(b"Content-Type: application/octet-stream\r\n")


@pytest.mark.parametrize("content_type", ["", "png", "image/png\r\nX: y", "image/png; a=" + '"b' * 40, "image/" + "p" * 99])
def test_a_content_type_that_is_none_is_refused(content_type: str) -> None:
    with pytest.raises(ValueError, match="no usable content type"):
        file_part(Attachment("f", content_type, None, ClaimCheck("k", "", 1)), b"x")


def test_a_content_id_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no content id"):
        file_part(Attachment("f", "image/png", "a>\r\nX: y", ClaimCheck("k", "", 1)), b"x")


def test_inline_files_stand_beside_the_html_and_others_beside_the_text() -> None:
    inline = Attachment("logo.png", "image/png", "logo@x", ClaimCheck("k1", "", 1))
    beside = Attachment("map.pdf", "application/pdf", None, ClaimCheck("k2", "", 1))
    raw = compose(replace(MAIL, content=Composed(HEAD, "t", "<html>h</html>", [inline, beside])), {"k1": b"1", "k2": b"2"})
    kinds = [line.partition(b";")[0] for line in raw.split(b"\r\n") if line.startswith(b"Content-Type")]
    assert [kind.decode().removeprefix("Content-Type: ") for kind in kinds] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png", "application/pdf",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (HEAD[:1], "needs a Date"),
        (HEAD[1:], "needs a From"),
        ([*HEAD, Header("from", "b@x.org")], "one From"),
        ([*HEAD, Header("Reply-To", "b@x.org"), Header("REPLY-TO", "b@x.org")], "one Reply-To"),
    ],
)
def test_a_mail_that_two_readers_would_read_differently_is_refused(headers: list[Header], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compose(replace(MAIL, content=Composed(headers, "t", None, [])), {})


def test_a_relayed_body_goes_byte_for_byte() -> None:
    relayed = replace(MAIL, content=Relayed(b"From: x@y.z\r\n", None, None, 0))
    assert relay(relayed, b"\xff\x00.\r\n\r\n") == b"From: x@y.z\r\n\r\n\xff\x00.\r\n\r\n"
    assert not needs_smtputf8(relayed)
    with pytest.raises(TypeError):
        compose(relayed, {})
    with pytest.raises(TypeError):
        relay(MAIL, b"")


@pytest.mark.parametrize(
    ("recipient", "reply_to", "needed"),
    [
        ("ann@x.org", "ada@x.org", False),
        ("ann@bücher.example", "ada@bücher.example", False),
        ("用户@x.org", "ada@x.org", True),
        ("ann@x.org", '"Renée" <ada@x.org>', False),
        ("ann@x.org", "用户@x.org", True),
    ],
)
def test_smtputf8_is_asked_for_only_where_it_must_be(recipient: str, reply_to: str, needed: bool) -> None:
    email = replace(MAIL, recipient=recipient, content=Composed([*HEAD, Header("Reply-To", reply_to)], "t", None, []))
    assert needs_smtputf8(email) is needed
