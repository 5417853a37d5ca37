"""`espmail mailgate`: what an MTA's pipe runs for each inbound mail (spec 6.1). It hands the mail to the running gateway by LMTP.

The message is on stdin; LOCAL_PART, DOMAIN and SENDER are in the environment. Exit codes are sysexits.h's, as MTAs read them:
0 accepted; 75 try again later (every fault of ours, and every doubt); 69 this mail can never be accepted.
Starts in a tenth of a second: no more is imported than this needs.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO

from streams.settings import Settings

ACCEPTED, UNAVAILABLE, TRY_LATER = 0, 69, 75
TIMEOUT_S = 120.0  # for each answer; the gateway itself gives up on the broker after 30
UNSAYABLE = re.compile(r"[\x00-\x20\x7f<>]")
# What the gateway says of this mail or its addresses (gateway/smtp_in_rules.py). Any other 5xx is a fault between it and us: a domain
# that no site has, a port that is not LMTP's, another version. That is to be mended, and no mail bounced for it.
FOR_GOOD = re.compile(r"5\d\d 5\.(1\.[137]|3\.4|6\.(0|7|11)) ")
USAGE = """usage: espmail mailgate < MESSAGE

For an MTA's pipe: the message on stdin; LOCAL_PART, DOMAIN and SENDER in the environment; ESPMAIL_LMTP_SOCKET, or
ESPMAIL_GATEWAY_HOST and ESPMAIL_LMTP_PORT, say where the gateway is. Exits 0 accepted, 75 try again later, 69 refused for good.
"""


class CannotSay(ValueError):
    """An address that no SMTP command can carry."""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code; what went wrong is one line on stderr, and no exception leaves."""
    if arguments:
        sys.stderr.write(USAGE)
        return ACCEPTED if "--help" in arguments else TRY_LATER
    try:
        reply = hand_over(Settings.from_env(os.environ), os.environ, sys.stdin.buffer.read())
    except CannotSay as error:
        return _failed(UNAVAILABLE, str(error))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the mail must stay with the MTA
        return _failed(TRY_LATER, f"{type(error).__name__}: {error}")
    if reply.startswith("2"):
        return ACCEPTED
    return _failed(UNAVAILABLE if FOR_GOOD.match(reply) else TRY_LATER, reply)


def hand_over(settings: Settings, environment: Mapping[str, str], message: bytes) -> str:
    """The gateway's answer to the mail: that to the final dot, or the first that is no success.

    Raises OSError if the gateway cannot be reached, KeyError if the environment names no recipient, CannotSay.
    """
    sender = _path(environment.get("SENDER", "").strip("<>"))
    recipient = _path(f"{environment['LOCAL_PART']}@{environment['DOMAIN']}")
    utf8 = "" if (sender + recipient).isascii() else " SMTPUTF8"
    with _connect(settings) as gateway, gateway.makefile("rb") as answers:
        reply = _reply(answers)
        for command in (f"LHLO {socket.gethostname()}", f"MAIL FROM:{sender}{utf8}", f"RCPT TO:{recipient}", "DATA"):
            if not reply.startswith("2"):
                return reply
            gateway.sendall(os.fsencode(command) + b"\r\n")
            reply = _reply(answers)
        if not reply.startswith("3"):
            return reply
        gateway.sendall(on_the_wire(undressed(message)))
        reply = _reply(answers)
        with suppress(OSError):  # the answer stands, whatever becomes of the goodbye
            gateway.sendall(b"QUIT\r\n")
        return reply


def undressed(message: bytes) -> bytes:
    """The message without the mbox dressing that Exim's pipe puts on by default: a "From " line, and one empty line at the end."""
    if not message.startswith(b"From "):
        return message
    rest = message.partition(b"\n")[2]
    return rest.removesuffix(b"\n") if rest.endswith(b"\n\n") else rest


def on_the_wire(message: bytes) -> bytes:
    """What follows DATA: line ends as CRLF, leading dots doubled, the final dot (RFC 5321, 4.5.2)."""
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n.", b"\n..")
    stuffed = (b"." if lines.startswith(b".") else b"") + lines.replace(b"\n", b"\r\n")
    end = b"" if not stuffed or stuffed.endswith(b"\r\n") else b"\r\n"
    return stuffed + end + b".\r\n"


def _path(address: str) -> str:
    if UNSAYABLE.search(address):
        raise CannotSay(f"{address!r} cannot be an address")
    return f"<{address}>"


def _connect(settings: Settings) -> socket.socket:
    if not settings.lmtp_socket:
        return socket.create_connection((settings.gateway_host, settings.lmtp_port), TIMEOUT_S)
    gateway = socket.socket(socket.AF_UNIX)
    gateway.settimeout(TIMEOUT_S)
    gateway.connect(settings.lmtp_socket)
    return gateway


def _reply(answers: BinaryIO) -> str:
    """The last line of the next reply; no line at all is an OSError."""
    line = answers.readline()
    while line[3:4] == b"-":
        line = answers.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("the gateway hung up")
    return line.decode("utf-8", "replace").strip()


def _failed(code: int, why: str) -> int:
    sys.stderr.write(f"espmail: the mail was not accepted: {why}\n")
    return code
