"""Header fields as bytes: found without building a mail object, kept as they came, folds included.

The stdlib's parser is not used on inbound mail: copying its objects injects headers, and some headers cost it
minutes (reliability.md, section 3). Everything here is total on arbitrary bytes and linear in their length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

MAX_HEADER = 102_400  # bytes; Postfix's header_size_limit
MAX_FIELDS = 1_000
LINE_END = re.compile(rb"\r\n|\r|\n")
# A field with its continuation lines, or (no colon behind a name) a line that is no field, with its own.
FIELD = re.compile(rb"(?:([!-9;-~]+)[ \t]*:)?[^\n]*\n(?:[ \t][^\n]*\n)*")
ENVELOPE_LINE = re.compile(rb">?From [^\n]*\n")  # what a pipe transport or an mbox puts above the header


class Field(NamedTuple):
    """One header field: its name in lower case, and its bytes from the name to the last CRLF, without the NULs that were in it (`had_nul`)."""

    name: str
    raw: bytes
    had_nul: bool = False

    @property
    def written_name(self) -> str:
        return self.raw.partition(b":")[0].decode("latin-1").rstrip()

    @property
    def value(self) -> bytes:
        """Unfolded (RFC 5322, section 2.2.3) and trimmed."""
        return self.raw.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t")

    @property
    def text(self) -> str:
        """The value as text; encoded words stay as they are."""
        return text_of(self.value)


@dataclass(frozen=True, slots=True)
class Head:
    """The header of a mail. `stray` are its lines that are no field, which the next server will take for body.

    A first line that begins with a space is in neither: where our own fields stand above, it would continue the last of them.

    `body_start` is the offset behind the first empty line (the length of the content where there is none).
    """

    fields: tuple[Field, ...]
    stray: bytes
    body_start: int
    size: int

    def all(self, name: str) -> list[Field]:
        return [field for field in self.fields if field.name == name]

    def first(self, name: str) -> Field | None:
        return next((field for field in self.fields if field.name == name), None)

    def text(self, name: str) -> str:
        """The first such field's value; empty where there is none."""
        field = self.first(name)
        return field.text if field else ""


def canonical(content: bytes) -> bytes:
    """The content with every line end (CRLF, or a lone CR or LF) as CRLF; nothing else is touched."""
    if content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r"):
        return content
    return LINE_END.sub(b"\r\n", content)


def scan(content: bytes) -> Head:
    """The header of a canonical content. A header beyond MAX_HEADER is measured, not read: it has no fields."""
    header, body_start = _split(content)
    if len(header) > MAX_HEADER:
        return Head((), b"", body_start, len(header))
    fields, stray = _fields(canonical(header))
    return Head(tuple(fields), stray, body_start, len(header))


def _split(content: bytes) -> tuple[bytes, int]:
    if content.startswith(b"\r\n"):
        return b"", 2
    end = content.find(b"\r\n\r\n")
    if end >= 0:
        return content[: end + 2], end + 4
    return content if content.endswith(b"\n") or not content else content + b"\r\n", len(content)


def _fields(header: bytes) -> tuple[list[Field], bytes]:
    fields, stray = [], []
    envelope_line = ENVELOPE_LINE.match(header)
    for match in FIELD.finditer(header, envelope_line.end() if envelope_line else 0):
        if match[0].startswith((b" ", b"\t")):
            continue
        if match[1] is None:
            stray.append(match[0])
        else:
            fields.append(Field(match[1].decode("ascii").lower(), match[0].replace(b"\0", b""), b"\0" in match[0]))
    return fields, b"".join(stray)


def text_of(value: bytes) -> str:
    """UTF-8 if it is, else Latin-1."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
