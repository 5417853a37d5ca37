"""One header field as bytes: RFC 5322 folding, RFC 2047 encoded-words, addresses with only their names encoded.

A value is written so that any reader gets the same text back, or it is refused with ValueError; nothing in a value can
become another header field. No line is longer than 998 octets, none is empty, none breaks inside a word.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from functools import lru_cache

from streams.domain.addresses import ascii_domain, parse_mailbox, split_mailboxes

WIDTH = 76  # columns of a line that holds an encoded-word (RFC 2047, section 2); we keep it everywhere
MAX_LINE = 998  # octets without CRLF (RFC 5322, section 2.1.1)
MAX_NAME = 76
WORD_COST = len("=?utf-8?q??=")
WORD = 75 - WORD_COST  # columns of text in one encoded-word
NAME_WORD = 48  # of a display name: the first one shares its line with the field's name
LONG_NAME = 200  # a display name beyond this goes out as encoded-words, which can be folded

FIELD_NAME = re.compile(r"[!-9;-~]+")
BREAK = re.compile(r"[\r\n\0]")
ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
BEFORE_SPACE = re.compile(r"(?<=[^ ])(?= )")
# Safe in every place where an encoded-word may stand (RFC 2047, section 5, rule 3).
LITERAL = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!*+-/")
Q = [chr(octet) if octet in LITERAL else f"={octet:02X}" for octet in range(256)]
Q[ord(" ")] = "_"


def field(name: str, value: str) -> bytes:
    """The field with its CRLF. Spaces around the value go; a line break or NUL in it raises ValueError."""
    writer = _writer(name)
    if BREAK.search(value):
        raise ValueError(f"the {name} header cannot hold a line break or NUL")
    return writer(name, value.strip(" \t")).encode() + b"\r\n"


@lru_cache(maxsize=1024)
def _writer(name: str) -> Callable[[str, str], str]:
    lower = name.lower()
    if not FIELD_NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(f"{name[:MAX_NAME]!r} is no header name")
    if lower in OURS or lower.startswith("content-"):
        raise ValueError(f"the {name} header {OURS.get(lower, 'is made from the content')}")
    return WRITERS.get(lower, _text)


def _text(name: str, value: str) -> str:
    """Unstructured text (Subject, X- fields): plain where every reader would read it the same."""
    line = f"{name}: {value}".rstrip()
    if _plain(value):
        if len(line) <= WIDTH:
            return line
        pieces = BEFORE_SPACE.split(line)
        if max(map(len, pieces)) <= MAX_LINE // 2:
            return _folded(pieces)
    return _folded([f"{name}:", *(f" {word}" for word in encoded_words(value, WIDTH - len(name) - 2 - WORD_COST))])


def _tokens(name: str, value: str) -> str:
    """Ids, dates, links: ASCII that may be folded at its spaces alone."""
    line = f"{name}: {value}"
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"the {name} header holds characters that it cannot have")
    if len(line) <= WIDTH:
        return line
    folded = _folded(BEFORE_SPACE.split(line))
    if max(map(len, folded.split("\r\n"))) > MAX_LINE:
        raise ValueError(f"the {name} header is too long to be sent")
    return folded


@lru_cache(maxsize=256)
def _addresses(name: str, value: str) -> str:
    mailboxes = [_mailbox(item) for item in split_mailboxes(value)]
    line = f"{name}: " + ", ".join(map(" ".join, mailboxes))
    if len(line) <= WIDTH:
        return line
    return _folded([f"{name}:", *(f" {token}" for tokens in _with_commas(mailboxes) for token in tokens)])


def _with_commas(mailboxes: list[list[str]]) -> Iterator[list[str]]:
    for tokens in mailboxes[:-1]:
        yield [*tokens[:-1], f"{tokens[-1]},"]
    yield mailboxes[-1]


def _mailbox(text: str) -> list[str]:
    """One mailbox as the tokens between which it may be folded. Raises AddressError."""
    mailbox = parse_mailbox(text)
    address = wire_address(mailbox.address)
    if not mailbox.name.strip():
        return [address]
    if not _plain(mailbox.name) or len(mailbox.name) > LONG_NAME:
        return [*encoded_words(" ".join(mailbox.name.split()), NAME_WORD, NAME_WORD), f"<{address}>"]
    if not text.startswith('"') and ATOMS.fullmatch(mailbox.name):
        return [*mailbox.name.split(), f"<{address}>"]
    escaped = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{escaped}"', f"<{address}>"]


def _list_id(name: str, value: str) -> str:
    """An optional phrase and the id in angle brackets (RFC 2919)."""
    phrase, bracket, identifier = value.rpartition("<")
    if not bracket or _plain(phrase) or not identifier.isascii():
        return _tokens(name, value)
    words = encoded_words(phrase.strip(), NAME_WORD, NAME_WORD)
    return _folded([f"{name}:", *(f" {word}" for word in words), f" <{identifier}"])


def wire_address(address: str) -> str:
    """The address with its domain in ASCII (IDNA 2008), as envelopes and header fields carry it."""
    if address.isascii():
        return address
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{ascii_domain(domain)}"


def encoded_words(text: str, first: int, room: int = WORD) -> Iterator[str]:
    """`text` as RFC 2047 encoded-words, cut between characters: `first` columns in the first one, then `room`."""
    data = text.encode()
    quoted = "".join([Q[octet] for octet in data])
    if len(quoted) <= 4 * (len(data) + 2) // 3:
        return _q_words(text, quoted, max(first, 12), room)
    return _b_words(data, max(first, 12), room)


def _q_words(text: str, quoted: str, first: int, room: int) -> Iterator[str]:
    if len(quoted) <= first:
        yield f"=?utf-8?q?{quoted}?="
        return
    word, limit = "", first
    for character in text:
        piece = "".join([Q[octet] for octet in character.encode()])
        if len(word) + len(piece) > limit:
            yield f"=?utf-8?q?{word}?="
            word, limit = "", room
        word += piece
    yield f"=?utf-8?q?{word}?="


def _b_words(data: bytes, first: int, room: int) -> Iterator[str]:
    start, limit = 0, first // 4 * 3
    while start < len(data):
        end = min(start + limit, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode()}?="
        start, limit = end, room // 4 * 3


def _plain(text: str) -> bool:
    """Whether text can stand as it is: a `=?` in it would be read as an encoded-word."""
    return text.isascii() and text.isprintable() and "=?" not in text


def _folded(pieces: list[str]) -> str:
    """Pieces (all but the first begin with a space) as lines; the first line never holds the field's name alone."""
    lines, line = [], "".join(pieces[:2])
    for piece in pieces[2:]:
        if len(line) + len(piece) > WIDTH:
            lines.append(line)
            line = piece
        else:
            line += piece
    return "\r\n".join([*lines, line])


# Fields that the caller cannot write, and why.
OURS = {
    "bcc": "would show people who were to stay unseen",
    "mime-version": "is written by us",
    "return-path": "is written by the receiving server",
}

TOKENS = (
    "message-id",
    "in-reply-to",
    "references",
    "date",
    "auto-submitted",
    "precedence",
    "feedback-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-post",
    "list-help",
    "list-owner",
    "list-subscribe",
    "list-archive",
)
ADDRESSES = ("from", "sender", "reply-to", "to", "cc")
# Every other field is unstructured text.
WRITERS: dict[str, Callable[[str, str], str]] = {
    **dict.fromkeys(TOKENS, _tokens),
    **dict.fromkeys(ADDRESSES, _addresses),
    "list-id": _list_id,
}
