"""What we write, the stdlib's parser reads back: the same fields, text, HTML and files, and nothing besides."""

from __future__ import annotations

import email.policy
import re
from dataclasses import replace
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser

from hypothesis import example, given
from hypothesis import strategies as st

from streams.domain.addresses import CONTROL, format_address
from streams.domain.compose import compose
from streams.domain.mime_parts import boundary_for
from streams.events import Attachment, ClaimCheck, Composed, Header
from tests.services.example import HEAD, MAIL

PARSER = BytesParser(policy=email.policy.default)

encodable = st.characters(exclude_categories=["Cs"])
one_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=300)
ascii_line = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=1200)
# Line lengths and alphabets that lead to each of the three transfer encodings.
body = st.one_of(
    st.text(encodable, max_size=500),
    st.text(st.sampled_from("ab =.\t\n\r\0é\U0001f600"), max_size=500),
    st.builds(
        "".join, st.lists(st.sampled_from(["a" * 997, "b" * 80, "é", "我们" * 300, "\n", "\r\n", ".\n", " \n", "=_", "From "]), max_size=12)
    ),
)


def written(content: Composed, files: dict[str, bytes] | None = None) -> bytes:
    """The composed bytes, with what must hold of every mail asserted."""
    raw = compose(replace(MAIL, content=content), files or {})
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw)
    assert raw.endswith(b"\r\n")
    assert raw.isascii()
    assert all(line.strip() for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    return raw


def parsed(raw: bytes) -> EmailMessage:
    message = PARSER.parsebytes(raw)
    assert isinstance(message, EmailMessage)
    assert not [part.defects for part in message.walk() if part.defects]
    return message


def canonical(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else f"{text}\n"


def content_of(part: MIMEPart | None) -> str:
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@given(one_line | ascii_line)
@example("=?utf-8?q?Hi=0D=0ABcc=3A_x?=")
@example("\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
@example("a" * 2000)
@example("a  b " * 200)
def test_a_subject_reads_back_and_adds_no_field(subject: str) -> None:
    raw = written(Composed([*HEAD, Header("Subject", subject), Header("X-After", "here")], "t", None, []))
    message = parsed(raw)
    assert message.keys() == ["From", "Date", "Subject", "X-After", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    assert str(message["Subject"]) == subject.strip(" \t")
    assert message["X-After"] == "here"


@given(st.lists(st.text(encodable, max_size=80), min_size=1, max_size=30))
def test_names_read_back_and_never_become_addresses(names: list[str]) -> None:
    mailboxes = [format_address(name, f"user{number}@bücher.example") for number, name in enumerate(names)]
    message = parsed(written(Composed([*HEAD, Header("To", ", ".join(mailboxes))], "t", None, [])))
    assert len(message.keys()) == len(HEAD) + 4
    found = message["To"].addresses
    assert [address.addr_spec for address in found] == [f"user{number}@xn--bcher-kva.example" for number in range(len(names))]
    # Spaces apart: Python 3.11 shows one between two encoded-words of a name, where RFC 2047 section 6.2 says none.
    assert ["".join(address.display_name.split()) for address in found] == ["".join(CONTROL.sub(" ", name).split()) for name in names]


@given(body, st.none() | body)
@example("=_" * 600, None)
def test_text_and_html_read_back(text: str, html: str | None) -> None:
    message = parsed(written(Composed(HEAD, text, html, [])))
    assert content_of(message.get_body(("plain",))) == canonical(text)
    if html is None:
        assert message.get_content_type() == "text/plain"
    else:
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert content_of(message.get_body(("html",))) == canonical(html)


@given(st.lists(st.tuples(one_line, st.binary(max_size=300), st.booleans()), min_size=1, max_size=4), st.booleans())
def test_files_read_back(files: list[tuple[str, bytes, bool]], with_html: bool) -> None:
    attachments = [
        Attachment(name, "image/png", f"c{number}@x" if inline else None, ClaimCheck(f"k{number}", "", len(data)))
        for number, (name, data, inline) in enumerate(files)
    ]
    content = Composed(HEAD, "t", "<html>h</html>" if with_html else None, attachments)
    message = parsed(written(content, {f"k{number}": data for number, (_, data, _) in enumerate(files)}))
    found = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert sorted(bytes(part.get_content()) for part in found) == sorted(data for _, data, _ in files)
    for part in found:
        name = part.get_filename()
        assert name
        assert not re.search(r"[/\\\x00-\x1f\u202e]", name)
    assert {part["Content-ID"] for part in found if part["Content-ID"]} == {f"<c{n}@x>" for n, (_, _, inline) in enumerate(files) if inline}


def test_a_text_that_holds_the_boundary_gets_another() -> None:
    first = boundary_for(MAIL.email_id, [])
    text = f"--{first}a\r\n--{first}a--\r\n" * 2
    message = parsed(written(Composed(HEAD, text, "<html>h</html>", [])))
    assert content_of(message.get_body(("plain",))) == canonical(text)
    assert content_of(message.get_body(("html",))) == "<html>h</html>\n"


def test_the_same_event_gives_the_same_bytes() -> None:
    content = Composed(HEAD, "té" * 700, "<html>h</html>", [])
    assert written(content) == written(content)
