"""Mail that somebody wrote to break things: 280 contents by name, none of them random."""

from __future__ import annotations

from itertools import product

from streams.domain.routing.fields import canonical
from tests.services.inbound import content

FIELDS = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Message-ID",
    "References",
    "Reply-To",
    "List-Id",
    "Delivered-To",
    "Content-Type",
    "X-Client-IP",
    "Date",
]
PAYLOADS = [
    b"",
    b"=?utf-8?q?Hi=0D=0ABcc=3A_evil=40y.org?=",
    b"=?utf-8?b?DQpCY2M6IGV2aWxAeS5vcmc=?=",
    b"x\r\n\tBcc: evil@y.org",
    b"x\rBcc: evil@y.org",
    b"x\nBcc: evil@y.org",
    b"x\x0bBcc: evil@y.org\x85\xe2\x80\xa8Bcc: evil@y.org",
    b"x\0y",
    b"(" * 10_000,
    b'"' * 10_001,
    b"<" * 10_000,
    b"<<<@>>>",
    b"tess@x.org, evil@y.org",
    b"evil@y.org <tess@x.org>",
    b"tess@x.org)evil@y.org",
    b"=?utf-7?q?+AAo?= =?zlib?b?eJw?= =?../../x?q?a?=",
    b"=?utf-8?q?a?= " * 5_000,
    b"a@x.org, " * 5_000,
    b"text/plain" + b";" * 40_000,
    b"multipart/mixed; boundary=" + b"=" * 90_000,
    b"\xff\xfe\x00\xed\xa0\x80",
    "\u202egro.y@live \U0001f4a3".encode(),
]
BODIES = {
    "nested": b"".join(b"--%d\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n" % (n, n + 1) for n in range(5_000)),
    "nested messages": b"Content-Type: message/rfc822\r\n\r\n" * 5_000,
    "parts": b"--a\r\n\r\n" * 200_000,
    "no end": b"x" * 1_000_000,
    "dots": b".\r\n..\r\n.",
    "headers again": b"From: evil@y.org\r\n\r\n" * 1_000,
}
SCARCELY_MAILS = [b"", b"\r\n", b"\r\n\r\n", b"x", b":", b": x\r\n", b" \r\n", b"\0", b"\xff" * 1_000, b"From: tess@x.org"]


def hostile() -> dict[str, bytes]:
    """Each content with canonical line ends."""
    fields = {f"{name}-{number}": _with_field(name, payload) for name, (number, payload) in product(FIELDS, enumerate(PAYLOADS))}
    bodies = {name: content("Content-Type: multipart/mixed; boundary=0", body=body) for name, body in BODIES.items()}
    scarcely = {f"scarcely-{number}": raw for number, raw in enumerate(SCARCELY_MAILS)}
    return {name: canonical(raw) for name, raw in (fields | bodies | scarcely).items()}


def _with_field(name: str, payload: bytes) -> bytes:
    own_from = b"" if name == "From" else b"From: tess@x.org\r\n"
    return own_from + name.encode() + b": " + payload + b"\r\nSubject: Hi\r\n\r\nbody\r\n"
