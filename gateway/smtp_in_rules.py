"""What the gateway's SMTP refuses, and with which words: pure functions and tables.

Our replies are constants: neither a client's text nor an exception's is sent back, so neither can forge a reply line.
A refusal is the reply itself; none means that nothing speaks against it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.limits import Limits
from streams.domain.addresses import DOT_ATOM, MAX_ADDRESS, AddressError, ascii_domain, check_address

SEND_IT = "354 end the mail with <CR><LF>.<CR><LF>"
OK = "250 2.0.0 OK"
ACCEPTED = "250 2.0.0 accepted: durable"
BYE = "221 2.0.0 bye"
START_TLS = "220 2.0.0 start TLS"
HELP = "214 2.0.0 this server speaks RFC 5321"
CANNOT_VERIFY = "252 2.1.5 send some mail, and see"
TRY_LATER = "451 4.3.0 cannot take mail right now, try again later"
STORE_FULL = "452 4.3.1 no room for this mail right now, try again later"
NO_TLS = "454 4.7.0 TLS is not to be had here"
BUSY = "421 4.7.0 too many connections, try again later"
IDLE_TOO_LONG = "421 4.4.2 no command for too long"
STOPPING = "421 4.3.2 shutting down, try again later"
TOO_MANY_ERRORS = "421 4.7.0 too many errors"
TOO_MUCH_TALK = "421 4.7.0 too much talk, and no mail"
OUT_OF_STEP = "554 5.5.0 you spoke before this server had answered"
TOO_MANY_RECIPIENTS = "452 4.5.3 too many recipients, send the rest in another transaction"
UNKNOWN_COMMAND = "500 5.5.1 no such command here"
LONG_COMMAND = "500 5.5.2 the command is too long"
NOT_DONE_HERE = "502 5.5.1 this server does not do that"
NOT_YOU = "501 5.5.4 say who you are"
NO_MORE_WORDS = "501 5.5.4 this command stands alone"
BAD_MAIL = "501 5.5.4 it is MAIL FROM:<address>"
BAD_RCPT = "501 5.5.4 it is RCPT TO:<address>"
BAD_PARAMETER = "501 5.5.4 a parameter has no such value"
UNKNOWN_PARAMETER = "555 5.5.4 no such parameter here"
NO_HELLO = "503 5.5.1 say hello first"
NO_SENDER = "503 5.5.1 say who sends first"
SECOND_SENDER = "503 5.5.1 a mail has one sender"
SECOND_TLS = "503 5.5.1 TLS is spoken already"
NO_RECIPIENTS = "503 5.5.1 no recipient that this server takes"
TOO_BIG = "552 5.3.4 the mail is larger than this server takes"
BAD_SENDER = "553 5.1.7 this is no sender address"
BAD_RECIPIENT = "553 5.1.3 this is no recipient address"
NEEDS_SMTPUTF8 = "553 5.6.7 an address beyond ASCII needs SMTPUTF8"
RELAY_DENIED = "550 5.7.1 relaying denied"
NO_SUCH_USER = "550 5.1.1 no such address here"
BARE_LINE_END = "550 5.6.11 the mail holds a bare CR, a bare LF or a NUL"
LONG_LINE = "550 5.6.0 a line of the mail is longer than 998 octets"
BIG_HEADER = "552 5.3.4 the header of the mail is too large"

LAST_WORDS = frozenset(
    {BYE, BUSY, IDLE_TOO_LONG, STOPPING, TOO_MANY_ERRORS, TOO_MUCH_TALK, OUT_OF_STEP}
)  # the connection closes behind them
PATH = re.compile(r"<([^<>\x00-\x20\x7f-\x9f\u2028\u2029]*)>(.*)", re.DOTALL)  # C1 controls too: a terminal obeys them
PARAMETERS = {
    "SIZE": re.compile(r"\d{1,20}", re.ASCII),
    "BODY": re.compile(r"7BIT|8BITMIME"),
    "SMTPUTF8": re.compile(""),
}  # RFC 1870, 6152, 6531
EMPTY_LINE = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who is here: whether any site is, whether a lower-case ASCII domain is, whether a whole address at such a domain is.

    `is_bounces`: whether an address takes the sites' bounces; its domain may be none of theirs.
    """

    any_site: Callable[[], bool]
    is_local: Callable[[str], bool]
    is_known: Callable[[str], bool]
    is_bounces: Callable[[str], bool]


def split_path(text: str) -> tuple[str, str] | None:
    """The address inside `<...>` and what follows (RFC 5321, 4.1.1.2), or none. The address may be empty."""
    match = PATH.fullmatch(text.strip())
    return None if match is None else (match[1], match[2].strip())


def mail_parameters(text: str, limits: Limits) -> dict[str, str] | str:
    """What follows the address of MAIL, by name in upper case; or the refusal."""
    found: dict[str, str] = {}
    for item in text.upper().split():
        name, _, value = item.partition("=")
        if name not in PARAMETERS:
            return UNKNOWN_PARAMETER
        if name in found or not PARAMETERS[name].fullmatch(value):
            return BAD_PARAMETER
        found[name] = value
    return TOO_BIG if int(found.get("SIZE", 0)) > limits.mail else found


def refuse_sender(address: str, *, utf8: bool) -> str | None:
    """A sender is only ever answered, so all that is asked of it is to be inert text; empty is the null sender."""
    if len(address) > MAX_ADDRESS or not _is_text(address):
        return BAD_SENDER
    return None if utf8 or address.isascii() else NEEDS_SMTPUTF8


def refuse_recipient(address: str, taken: int, limits: Limits, recipients: Recipients, *, utf8: bool) -> str | None:
    """`taken` recipients are in the transaction already."""
    if taken >= limits.recipients:
        return TOO_MANY_RECIPIENTS
    if not (utf8 or address.isascii()):
        return NEEDS_SMTPUTF8 if _is_text(address) else BAD_RECIPIENT
    if not recipients.any_site():  # an emptied table must not bounce everybody's mail
        return TRY_LATER
    if "@" not in address:
        return BAD_RECIPIENT
    if _asks_for_relay(address):
        return RELAY_DENIED
    if recipients.is_bounces(address):
        return None
    if not recipients.is_local(ascii_domain(address.rpartition("@")[2])):
        return RELAY_DENIED
    return None if recipients.is_known(address) else NO_SUCH_USER


def refuse_content(content: bytes, limits: Limits) -> str | None:
    """Whether these bytes can be passed on without being read as something else by the next hop."""
    ends = content.count(b"\r\n")
    if content.count(b"\n") != ends or content.count(b"\r") != ends or b"\0" in content:
        return BARE_LINE_END
    if _has_long_line(content, limits.line):
        return LONG_LINE
    return BIG_HEADER if _header_size(content) > limits.header else None


def _header_size(content: bytes) -> int:
    """Up to the first empty line, which may be the first of all; where there is none, all is header."""
    end = 0 if content.startswith(EMPTY_LINE[2:]) else content.find(EMPTY_LINE)
    return len(content) if end < 0 else end


def _has_long_line(content: bytes, limit: int) -> bool:
    """Leaps from line end to line end, a thousand bytes at a time, and builds nothing: the mail may be of 25 MB."""
    start = 0
    while len(content) - start > limit:
        end = content.rfind(b"\n", start, start + limit + len(b"\r\n"))
        if end < 0:
            return True
        start = end + 1
    return False


def is_refusal(reply: str) -> bool:
    """True for what did not succeed, for now or for good (RFC 5321, 4.2.1)."""
    return reply[0] in "45"


def codes_of(reply: str) -> str:
    """Its basic and its enhanced code: there are only so many, whatever clients say."""
    return " ".join(reply.split(" ", 2)[:2])


def _is_text(address: str) -> bool:
    try:
        address.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, which arrive as surrogates
        return False
    return True


def _asks_for_relay(address: str) -> bool:
    """Forms that some server, some day, read as "and then on to": source routes, %-hacks, bang paths, a second @, quotes."""
    local = address.rpartition("@")[0]
    try:
        check_address(address)
    except AddressError:
        return True
    return not DOT_ATOM.fullmatch(local) or "%" in local or "!" in local
