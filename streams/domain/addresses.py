"""Mail addresses: read strictly, compare without case, format so that nothing in a name can become an address.

One grammar for what we accept (RFC 5321 section 4.1.2 Mailbox, RFC 6531 for UTF-8): a dot-atom or quoted local part, a
domain name of two labels or more (or localhost). The stdlib's parser is not asked: it finds addresses where a server
would see others (CVE-2023-27043; reliability.md, row M-09).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

import idna

MAX_ADDRESS = 320  # 64 + @ + 255 (RFC 5321, section 4.5.3.1)
MAX_LOCAL = 64
MAX_DOMAIN = 253
# Any letter beyond ASCII is an atom character too (RFC 6532, section 3.2); controls and spaces never are.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]+"
DOT_ATOM = re.compile(rf"{ATOM}(?:\.{ATOM})*")
QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"')
SPACE = re.compile(r"[^\S ]")  # a plain space may stand in quotes
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
NAME_OF_QUOTED = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^"<>])*)<(".*)', re.DOTALL)  # a name, and an address that begins with a quote


class AddressError(ValueError):
    """The text is no usable address; the message says why, in the writer's words."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name (maybe empty) and a checked address."""

    name: str
    address: str

    @property
    def formatted(self) -> str:
        return format_address(self.name, self.address)


def check_address(text: str) -> str:
    """The bare address in `text`, trimmed, otherwise unchanged. Raises AddressError."""
    address = text.strip()
    if not address:
        raise AddressError("the address is empty")
    local, at, domain = address.rpartition("@")
    if not at or not local:
        raise AddressError(f"{address!r} is no address: it needs something@domain")
    if len(address) > MAX_ADDRESS or len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"{address[:40]!r}... is too long for an address")
    if SPACE.search(local) or not (DOT_ATOM.fullmatch(local) or QUOTED_LOCAL.fullmatch(local)):
        raise AddressError(f"{address!r} is no address: {local!r} cannot stand before the @")
    ascii_domain(domain)
    return address


@lru_cache(maxsize=4096)
def ascii_domain(domain: str) -> str:
    """The domain in lower-case ASCII (IDNA 2008 with UTS 46 mapping). Raises AddressError if it is no mail domain.

    No top-level domain is a number (RFC 3696, section 2), so `1.2.3.4` is none.
    """
    try:
        name = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise AddressError(f"{domain!r} is no domain name") from None
    labels = name.split(".")
    if name != "localhost" and len(labels) < 2:
        raise AddressError(f"{domain!r} is no full domain name")
    if len(name) > MAX_DOMAIN or not all(LABEL.fullmatch(label) for label in labels):
        raise AddressError(f"{domain!r} is no domain name")
    if labels[-1].isdecimal():
        raise AddressError(f"{domain!r} is no domain name: its last part is a number")
    return name


@lru_cache(maxsize=1024)  # an address is compared, counted and hashed within one mail
def normalise(address: str) -> str:
    """The form in which addresses are compared, counted and hashed: trimmed, lower case, domain in ASCII.

    Total: what is no address is only trimmed and lowered.
    """
    local, at, domain = address.strip().rpartition("@")
    try:
        return f"{local.lower()}{at}{ascii_domain(domain)}"
    except AddressError:
        return address.strip().lower()


def address_hash(address: str) -> str:
    """32 hex digits that stand for an address where the address itself has no business."""
    return hashlib.sha256(b"espmail address:" + normalise(address).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def format_address(name: str, address: str) -> str:
    """`"NAME" <ADDRESS>`, or the bare address for a blank name (spec 1.7, example 28). Controls in a name become spaces."""
    words = " ".join(CONTROL.sub(" ", name).split())
    if not words:
        return address
    quoted = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def parse_mailbox(text: str) -> Mailbox:
    """The one mailbox in `text`: `a@b.c`, `<a@b.c>`, `Name <a@b.c>` or `"Name" <a@b.c>`.

    An unquoted name with a comma is taken as a name if nothing in it looks like an address (spec 8, row 58).
    Raises AddressError for none, several, or a name that reads as an address.
    """
    line = text.strip()
    if CONTROL.search(line):
        raise AddressError("an address cannot hold line breaks or control characters")
    if not line.endswith(">"):
        return Mailbox("", check_address(line))
    quoted = NAME_OF_QUOTED.fullmatch(line[:-1])
    phrase, bracket, address = (quoted[1], "<", quoted[2]) if quoted else line[:-1].rpartition("<")
    if not bracket:
        raise AddressError(f"{line!r} is no address: its > has no <")
    return Mailbox(_display_name(phrase.strip()), check_address(address))


def _display_name(phrase: str) -> str:
    quoted = QUOTED_NAME.fullmatch(phrase)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1]) if "\\" in quoted[1] else quoted[1]
    if any(character in phrase for character in '@<>";'):
        raise AddressError(f"{phrase!r} before the <address> reads as another address; put the name in double quotes")
    return phrase


def split_mailboxes(text: str) -> list[str]:
    """A comma-separated list as its trimmed items, commas inside quotes or angle brackets kept; empty items stay empty."""
    if "," not in text:
        return [text.strip()]
    items: list[str] = []
    current: list[str] = []
    in_quotes, escaped, depth = False, False, 0
    for character in text:
        if character == "," and not in_quotes and depth <= 0:
            items.append("".join(current).strip())
            current = []
            continue
        if character == '"' and not escaped:
            in_quotes = not in_quotes
        elif not in_quotes:
            depth += (character == "<") - (character == ">")
        escaped = in_quotes and character == "\\" and not escaped
        current.append(character)
    return [*items, "".join(current).strip()]
