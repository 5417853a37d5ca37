"""The values of delivery: how far a conversation came, what the server answered, what that means for one email."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

MAX_REPLY = 500  # characters of a server's answer that are kept: it is a stranger's text
ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\d)")
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]+")


class Phase(StrEnum):
    """How far the conversation had come when the answer was due."""

    CONNECT = "connect"  # until the banner
    GREETING = "greeting"  # EHLO
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # the message is being written, its final dot is not
    DOT = "dot"  # the final dot may have been seen: the point of no return


# Up to here the server has not heard of the mail: a refusal is about us or about the server.
SERVER_PHASES = frozenset({Phase.CONNECT, Phase.GREETING, Phase.TLS, Phase.AUTH})

FaultKind = Literal["timeout", "disconnected", "tls", "protocol", "refused", "unreachable"]
Kind = Literal["sent", "defer", "fail", "doubt"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole SMTP reply; `text` is everything behind the code, lines joined by newlines, enhanced code included."""

    code: int
    text: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463) that opens the text; '' for none, or one of another class than the code's."""
        found = ENHANCED.match(self.text)
        return found[0] if found and found[0][0] == str(self.code)[0] else ""

    def __str__(self) -> str:
        return one_line(f"{self.code} {self.text[: 2 * MAX_REPLY]}")


@dataclass(frozen=True, slots=True)
class Fault:
    """No whole reply came; half of one is a `protocol` fault."""

    kind: FaultKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is a code for tables and metrics, `reply` one clean line for people.

    slow_domain: send less to this recipient domain. hard_bounce: the address itself is dead, stop using it.
    whole_server: says nothing about this mail; do not count the attempt. rests_server: and rest this server, try another.
    """

    kind: Kind
    reason: str
    reply: str
    slow_domain: bool = False
    hard_bounce: bool = False
    whole_server: bool = False

    @property
    def rests_server(self) -> bool:
        """Not where other mails may well be taken: of one request's sender, or to one recipient's domain."""
        return self.whole_server and self.reason not in ("sender_refused", "relay_denied")


def one_line(text: str) -> str:
    """Text of a stranger as one printable line of at most MAX_REPLY characters."""
    return UNPRINTABLE.sub(" ", text).strip()[:MAX_REPLY]
