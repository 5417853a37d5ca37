"""RFC 2047 both ways, bounded: encoded words of strangers become text, names of ours become encoded words.

Only codecs that are alphabets are used: a charset name cannot reach a codec that unpacks, rotates or executes
(reliability.md, row M-10). What cannot be decoded stays as it was written.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from streams.domain.addresses import CONTROL

MAX_VALUE = 20_000  # characters looked at; the rest of a longer value stays encoded
WORD_BYTES = 45  # of UTF-8 in one encoded word: 60 in base64, 72 with =?utf-8?b? and ?= (75 at most, RFC 2047, section 2)
WORD = re.compile(r"=\?([A-Za-z0-9_-]{1,30})(?:\*[A-Za-z0-9-]{1,20})?\?([bBqQ])\?([^? \t\r\n]*)\?=")
GAP = re.compile(r"(?<=\?=)[ \t]+(?==\?)")
ESCAPED = re.compile(rb"=([0-9A-Fa-f]{2})")
ALPHABETS = re.compile(
    r"utf-?8|us-ascii|ascii|latin-?1|iso-?8859-[0-9]{1,2}|windows-125[0-8]|cp125[0-8]|koi8-[ru]|mac-?roman"
    r"|gb2312|gbk|gb18030|big5|euc-jp|iso-2022-jp|shift_jis|euc-kr|tis-620",
    re.IGNORECASE,
)


def decoded(value: str) -> str:
    """The value with its encoded words as text, control characters (also encoded ones) as spaces."""
    if "=?" in value and len(value) <= MAX_VALUE:
        value = WORD.sub(_decoded_word, GAP.sub("", value))
    return CONTROL.sub(" ", value)


def _decoded_word(word: re.Match[str]) -> str:
    charset, encoding, payload = word.groups()
    if not ALPHABETS.fullmatch(charset):
        return word[0]
    try:
        return _bytes_of(encoding, payload).decode(charset, "replace")
    except (LookupError, ValueError):
        return word[0]


def _bytes_of(encoding: str, payload: str) -> bytes:
    data = payload.encode("utf-8")
    if encoding in "bB":
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4))
    return ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), data.replace(b"_", b" "))


def encoded(text: str) -> bytes:
    """The text as it may stand in a header: itself if it is printable ASCII, else encoded words split by spaces."""
    words = CONTROL.sub(" ", text)
    if words.isascii() and "=?" not in words:
        return words.encode("ascii")
    return b" ".join(b"=?utf-8?b?" + base64.b64encode(piece) + b"?=" for piece in _pieces(words))


def _pieces(text: str) -> list[bytes]:
    """UTF-8 in pieces of at most WORD_BYTES, cut between characters."""
    pieces, current = [], b""
    for character in text:
        data = character.encode("utf-8", "replace")
        if len(current) + len(data) > WORD_BYTES:
            pieces.append(current)
            current = b""
        current += data
    return [*pieces, current]


@lru_cache(maxsize=65_536)  # the same members, list after list
def mailbox(name: str, address: str) -> bytes:
    """A mailbox for our own headers: the display name encoded where it must be, the address never (spec 8, row 57)."""
    words = " ".join(CONTROL.sub(" ", name).split())
    if not words:
        return address.encode("utf-8", "replace")
    if words.isascii() and "=?" not in words:
        quoted = words.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{address}>'.encode("utf-8", "replace")
    return encoded(words) + f" <{address}>".encode("utf-8", "replace")
