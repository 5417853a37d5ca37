"""SMTP's and LMTP's commands: what each makes of what was said before it, and its reply. No sockets, no clocks, no waiting.

RFC 5321, LMTP by RFC 2033, SIZE by RFC 1870, 8BITMIME by RFC 6152, SMTPUTF8 by RFC 6531, PIPELINING by RFC 2920. There is no AUTH:
whoever may reach the port may hand mail in, and to whom is the rules' to say.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway import smtp_in_rules as rules
from gateway.limits import Limits

HELO_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """How the server presents itself."""

    hostname: str
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class Talk:
    """What one client has said: who it is, and the mail that it has begun to hand in."""

    identity: Identity
    limits: Limits
    recipients: rules.Recipients
    lmtp: bool
    secure: bool = False
    helo: str = ""
    extended: bool = False
    mail_from: str | None = None  # empty for the null sender
    rcpt_tos: list[str] = field(default_factory=list)
    utf8: bool = False

    def forget_mail(self) -> None:
        self.mail_from = None
        self.rcpt_tos = []
        self.utf8 = False

    def forget_client(self) -> None:
        self.helo = ""
        self.extended = False
        self.forget_mail()


def helo(talk: Talk, name: str) -> str:
    if not name:
        return rules.NOT_YOU
    talk.forget_client()
    talk.helo = name.encode("utf-8", "replace").decode()[:HELO_LENGTH]
    return f"250 {talk.identity.hostname}"


def ehlo(talk: Talk, name: str) -> str:
    """Also LHLO."""
    reply = helo(talk, name)
    if rules.is_refusal(reply):
        return reply
    talk.extended = True
    starttls = ["STARTTLS"] if talk.identity.tls and not talk.secure else []
    offers = [f"SIZE {talk.limits.mail}", "8BITMIME", "SMTPUTF8", "PIPELINING", *starttls]
    return "\r\n250-".join([f"250-{talk.identity.hostname}", *offers]) + "\r\n250 ENHANCEDSTATUSCODES"


def mail(talk: Talk, argument: str) -> str:
    if not talk.helo:
        return rules.NO_HELLO
    if talk.mail_from is not None:
        return rules.SECOND_SENDER
    if argument[:5].upper() != "FROM:":
        return rules.BAD_MAIL
    split = rules.split_path(argument[5:])
    return rules.BAD_SENDER if split is None else _take_sender(talk, *split)


def _take_sender(talk: Talk, address: str, rest: str) -> str:
    parameters = rules.mail_parameters(rest, talk.limits)
    if isinstance(parameters, str):
        return parameters
    utf8 = "SMTPUTF8" in parameters
    refusal = rules.refuse_sender(address, utf8=utf8)
    if refusal is None:
        talk.mail_from, talk.utf8 = address, utf8
    return refusal or rules.OK


def rcpt(talk: Talk, argument: str) -> str:
    if talk.mail_from is None:
        return rules.NO_SENDER
    if argument[:3].upper() != "TO:":
        return rules.BAD_RCPT
    split = rules.split_path(argument[3:])
    if split is None:
        return rules.BAD_RECIPIENT
    return rules.UNKNOWN_PARAMETER if split[1] else _take_recipient(talk, split[0])


def _take_recipient(talk: Talk, address: str) -> str:
    refusal = rules.refuse_recipient(address, len(talk.rcpt_tos), talk.limits, talk.recipients, utf8=talk.utf8)
    if refusal is None:
        talk.rcpt_tos.append(address)
    return refusal or rules.OK


def data(talk: Talk, argument: str) -> str:
    if argument:
        return rules.NO_MORE_WORDS
    return rules.SEND_IT if talk.rcpt_tos else rules.NO_RECIPIENTS if talk.helo else rules.NO_HELLO


def rset(talk: Talk, argument: str) -> str:
    if argument:
        return rules.NO_MORE_WORDS
    talk.forget_mail()
    return rules.OK


def starttls(talk: Talk, argument: str) -> str:
    if argument:
        return rules.NO_MORE_WORDS
    if talk.secure:
        return rules.SECOND_TLS
    return rules.START_TLS if talk.identity.tls else rules.NO_TLS


def always(reply: str) -> Command:
    """A command whose reply depends on nothing."""
    return lambda _talk, _argument: reply


Command = Callable[[Talk, str], str]
BOTH: Mapping[bytes, Command] = {
    b"MAIL": mail,
    b"RCPT": rcpt,
    b"DATA": data,
    b"RSET": rset,
    b"STARTTLS": starttls,
    b"NOOP": always(rules.OK),
    b"VRFY": always(rules.CANNOT_VERIFY),
    b"EXPN": always(rules.NOT_DONE_HERE),
    b"HELP": always(rules.HELP),
    b"QUIT": always(rules.BYE),
}
SMTP: Mapping[bytes, Command] = {**BOTH, b"EHLO": ehlo, b"HELO": helo}
LMTP: Mapping[bytes, Command] = {**BOTH, b"LHLO": ehlo}
CHATTER = frozenset({b"NOOP", b"VRFY", b"EXPN", b"HELP", b"EHLO", b"HELO", b"LHLO"})  # they carry no mail
LAST_OF_GROUP = frozenset({b"EHLO", b"HELO", b"LHLO", b"DATA"})  # RFC 2920, 3.1; whoever runs ahead of these answers is no mail server
