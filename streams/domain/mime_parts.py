"""MIME parts as bytes: a part is its own header lines, an empty line, and its encoded body, all with CRLF.

RFC 2045 to 2047, RFC 2183 and 2231. Everything here is 7-bit, so that any server takes it. A part can stand alone behind
a message's header fields, or inside `multipart`.
"""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from streams.domain.mime_fields import MAX_LINE
from streams.events import Attachment

LATIN = bytes(range(0xCD))  # no octet here opens a letter beyond Latin (Greek begins at CD B0)
BASE64_LINE = 57  # octets that make a line of 76 columns
CONTENT_TYPE = re.compile(
    r'[\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64}(?:; ?[\w!#$&^.+-]{1,32}=(?:[\w!#$&^.+:-]{1,64}|"[ !#-\[\]-~]{0,64}"))*', re.ASCII
)
MAX_CONTENT_TYPE = 200
CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
# Their bodies may not be encoded (RFC 2046, sections 5.1 and 5.2.1), and a foreign file must not become structure of ours.
COMPOSITE = ("message/", "multipart/")
UNSAFE_IN_FILENAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
PLAIN_FILENAME = re.compile(r"[ !#-\[\]-~]{1,60}")
MAX_FILENAME = 200
SECTION_COLUMNS = 60
SECTION = re.compile(r"(?:%..|.){1,20}")  # of an RFC 2231 value: never cut within an escape, 60 columns at most


def text_part(subtype: str, text: str) -> bytes:
    """`text/<subtype>` in UTF-8, ending with a line end.

    7bit if it can be; quoted-printable for Latin letters, so that the source stays readable (spec 9.2, row 56); base64
    where other letters make that the shorter.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = (text if text.endswith("\n") else f"{text}\n").replace("\n", "\r\n").encode()
    encoding, body = _encoded(data)
    return b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: %b\r\n\r\n%b' % (subtype.encode(), encoding, body)


def _encoded(data: bytes) -> tuple[bytes, bytes]:
    if data.isascii() and b"\0" not in data and (len(data) <= MAX_LINE or max(map(len, data.split(b"\r\n"))) <= MAX_LINE):
        return b"7bit", data
    # Each letter that is not Latin makes about three octets nine in quoted-printable; base64 makes any three octets four.
    if 6 * len(data.translate(None, delete=LATIN)) < len(data) // 3:
        return b"quoted-printable", b2a_qp(data, istext=True)
    return b"base64", _base64(data)


def _base64(data: bytes) -> bytes:
    return b"".join([b2a_base64(data[at : at + BASE64_LINE], newline=False) + b"\r\n" for at in range(0, len(data), BASE64_LINE)])


@lru_cache(maxsize=4)
def file_part(attachment: Attachment, data: bytes) -> bytes:
    """A file, inline where it has a content id. Kept for the next recipient's mail: the same file goes to all.

    Raises ValueError for a content type or content id that cannot stand in a header.
    """
    if len(attachment.content_type) > MAX_CONTENT_TYPE or not CONTENT_TYPE.fullmatch(attachment.content_type):
        raise ValueError(f"{attachment.filename!r} has no usable content type: {attachment.content_type[:80]!r}")
    kind = "application/octet-stream" if attachment.content_type.lower().startswith(COMPOSITE) else attachment.content_type
    lines = [f"Content-Type: {kind}", "Content-Transfer-Encoding: base64"]
    if attachment.content_id is not None:
        lines.append(f"Content-ID: <{_content_id(attachment.content_id)}>")
    disposition = "attachment" if attachment.content_id is None else "inline"
    lines.append(";\r\n ".join([f"Content-Disposition: {disposition}", *_filename(attachment.filename)]))
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + _base64(data)


def _content_id(text: str) -> str:
    bare = text.removeprefix("<").removesuffix(">")
    if not CONTENT_ID.fullmatch(bare):
        raise ValueError(f"{text[:80]!r} is no content id")
    return bare


def _filename(text: str) -> list[str]:
    """The filename parameter (RFC 2231 where it must be), without folders or anything that deceives a reader."""
    name = UNSAFE_IN_FILENAME.sub("_", " ".join(re.split(r"[/\\]", text)[-1].split())).strip(" .")[-MAX_FILENAME:] or "file"
    if PLAIN_FILENAME.fullmatch(name):
        return [f'filename="{name}"']
    escaped = quote(name, safe="!#$&+-.^_`|~")
    if len(escaped) <= SECTION_COLUMNS:
        return [f"filename*=utf-8''{escaped}"]
    return [f"filename*{index}*={section}" for index, section in enumerate(SECTION.findall(f"utf-8''{escaped}"))]


def multipart(subtype: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """`multipart/<subtype>` of parts in which the boundary does not occur (see boundary_for)."""
    kind = subtype if subtype != "related" else 'related; type="text/html"'  # required there (RFC 2387, section 3.1)
    delimiter = b"--" + boundary.encode()
    head = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    return head + b"".join([b"%b\r\n%b\r\n" % (delimiter, part) for part in parts]) + delimiter + b"--\r\n"


def boundary_for(email_id: str, parts: Sequence[bytes]) -> str:
    """A boundary that none of the parts holds; the same on every attempt. One letter behind it makes another.

    Quoted-printable and base64 never hold `=_`, so only literal text can make it look further.
    """
    for turn in range(1000):
        boundary = f"=_{hashlib.blake2b(f'{email_id} {turn}'.encode(), digest_size=15).hexdigest()}"
        if not any(boundary.encode() in part for part in parts):
            return boundary
    raise ValueError("the text holds every boundary that could divide it")
