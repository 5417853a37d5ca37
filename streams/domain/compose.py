"""The bytes of a mail, written directly: the same event gives the same bytes on every attempt.

    compose(email, files) -> bytes     for Composed content
    relay(email, body) -> bytes        for Relayed content
    needs_smtputf8(email) -> bool

The stdlib's email objects cost 0.9 to 4 ms a mail and are not asked; the property tests hold their parser against this.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.domain.mime_fields import ADDRESSES, field
from streams.domain.mime_parts import boundary_for, file_part, multipart, text_part
from streams.events import Attachment, Composed, EmailQueued, Header, Relayed

REQUIRED = ("from", "date")  # RFC 5322, section 3.6
# At most once in a mail; with a second one, two readers would see two mails.
ONCE = frozenset({*ADDRESSES, "subject", "date", "message-id", "in-reply-to", "references", "list-id", "list-unsubscribe"})


def compose(email: EmailQueued, files: Mapping[str, bytes]) -> bytes:
    """The whole message, CRLF line ends, 7-bit but for addresses that need SMTPUTF8.

    `files` holds the bytes of each attachment by its body's key. Raises ValueError for a header or attachment that
    cannot be written as it is, TypeError for content that is to be relayed.
    """
    content = email.content
    if not isinstance(content, Composed):
        raise TypeError("only composed content can be composed; relayed content is relayed")
    _check(content.headers)
    head = b"".join([field(header.name, header.value) for header in content.headers])
    return head + b"MIME-Version: 1.0\r\n" + _body(email.email_id, content, files)


def relay(email: EmailQueued, body: bytes) -> bytes:
    """The edited header block, the empty line, and the original's body, byte for byte."""
    content = email.content
    if not isinstance(content, Relayed):
        raise TypeError("only relayed content can be relayed; composed content is composed")
    return content.header + b"\r\n" + body


def needs_smtputf8(email: EmailQueued) -> bool:
    """Whether an address of the envelope or of our own header fields has letters beyond ASCII before its @.

    A relayed header is not looked at: its raw bytes are the sender's, and the MTA took them without asking.
    """
    if _beyond_ascii(email.recipient) or _beyond_ascii(email.envelope_from):
        return True
    if isinstance(email.content, Relayed):
        return False
    fields = [header for header in email.content.headers if not header.value.isascii() and header.name.lower() in ADDRESSES]
    return any(not field(header.name, header.value).isascii() for header in fields)


def _beyond_ascii(address: str) -> bool:
    return not address.isascii() and not address.rpartition("@")[0].isascii()


def _check(headers: list[Header]) -> None:
    names = [header.name.lower() for header in headers]
    for name in REQUIRED:
        if name not in names:
            raise ValueError(f"a mail needs a {name.title()} header")
    if len(set(names)) < len(names):
        for name in ONCE.intersection(names):
            if names.count(name) > 1:
                raise ValueError(f"a mail can have one {name.title()} header only")


def _body(email_id: str, content: Composed, files: Mapping[str, bytes]) -> bytes:
    """The text, or alternative(text, html), with inline files related to the html and others beside it all in a mixed."""
    text = text_part("plain", content.text)
    if content.html is None and not content.attachments:
        return text
    html = None if content.html is None else text_part("html", content.html)
    boundary = boundary_for(email_id, (text,) if html is None else (text, html))
    inline = [file for file in content.attachments if file.content_id is not None and html is not None]
    beside = [file for file in content.attachments if file not in inline]
    if html is not None:
        shown = multipart("related", f"{boundary}r", [html, *_files(inline, files)]) if inline else html
        text = multipart("alternative", f"{boundary}a", [text, shown])
    return multipart("mixed", f"{boundary}m", [text, *_files(beside, files)]) if beside else text


def _files(attachments: list[Attachment], files: Mapping[str, bytes]) -> list[bytes]:
    return [file_part(attachment, files[attachment.body.key]) for attachment in attachments]
