"""Whose mail it is: the one mailbox of the From header, or why it cannot be said (reliability.md, row M-09).

The grammar is RFC 5322's with comments, quoted names and encoded words, and strict: where two readers could see two
senders, there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streams.domain.addresses import CONTROL, AddressError, Mailbox, check_address
from streams.domain.routing.fields import Head
from streams.domain.routing.words import decoded

MAX_FROM = 2_000  # characters; no honest From comes near
# Quoted text, a comment's bracket, or one character: what a mailbox is read in.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|.', re.DOTALL)
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
UNSURE_IN_COMMENT = re.compile(r'"|"(?=.*[()]).*"', re.DOTALL)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
AMBIGUOUS_IN_NAME = re.compile(r'[@<>;:,"\\]')


@dataclass(frozen=True, slots=True)
class Unclear:
    """No sender can be named; `reason` is from_missing, from_several or from_ambiguous."""

    reason: str


def author(head: Head) -> Mailbox | Unclear:
    """The mailbox that wrote the mail, as its From header says (nobody has checked that it is true)."""
    found = head.all("from")
    if not found or not found[0].value:
        return Unclear("from_missing")
    if len(found) > 1:
        return Unclear("from_several")
    if found[0].had_nul:  # for some readers the address ends there
        return Unclear("from_ambiguous")
    return parse_from(found[0].text)


def parse_from(text: str) -> Mailbox | Unclear:
    """The one mailbox in a From value."""
    if len(text) > MAX_FROM or CONTROL.search(text.replace("\t", " ")):
        return Unclear("from_ambiguous")
    plain = _without_comments(text)
    if plain is None:
        return Unclear("from_ambiguous")
    items = [item for item in _split_at_commas(plain) if item]
    if len(items) != 1:
        return Unclear("from_several" if items else "from_missing")
    try:
        return _mailbox(items[0])
    except AddressError:
        return Unclear("from_ambiguous")


def _without_comments(text: str) -> str | None:
    """The text with each comment as one space; none where brackets or quotes do not close.

    None too where it depends on the reader, for whom quotes in a comment may or may not hide brackets, where it ends.
    """
    kept, depth = [], 0
    for token in TOKEN.findall(text):
        if depth and UNSURE_IN_COMMENT.fullmatch(token):
            return None
        if token == "(" or (token == ")" and depth):
            depth += 1 if token == "(" else -1
            kept.append(" ")
        elif depth == 0:
            if token in ('"', ")"):
                return None
            kept.append(token)
    return None if depth else "".join(kept)


def _split_at_commas(text: str) -> list[str]:
    items: list[str] = []
    current: list[str] = []
    for token in TOKEN.findall(text):
        if token == ",":
            items.append("".join(current).strip())
            current = []
        else:
            current.append(token)
    return [*items, "".join(current).strip()]


def _mailbox(item: str) -> Mailbox:
    if not item.endswith(">"):
        return Mailbox("", _address(item))
    name, _, address = item[:-1].rpartition("<")
    return Mailbox(_name(name.strip()), _address(address))


def _address(text: str) -> str:
    """A checked address that no reader could take for an encoded word."""
    if "=?" in text:
        raise AddressError(f"{text!r} reads as an encoded word")
    return check_address(text)


def _name(phrase: str) -> str:
    unquoted = QUOTED.sub("", phrase)
    if AMBIGUOUS_IN_NAME.search(unquoted):
        raise AddressError(f"{phrase!r} before the <address> reads as another address")
    plain = QUOTED.sub(lambda quoted: ESCAPE.sub(r"\1", quoted[1]), phrase)
    return " ".join(decoded(plain).split())
