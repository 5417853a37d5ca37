"""Unsubscribe tokens: signed, long-lived, bound to one address and one purpose, with no address in them (spec 8, rows 29 and 30).

A token is 72 characters of URL-safe Base64 without padding: version, purpose, key id (4 bytes), address hash (16),
email id (16), and 16 bytes of HMAC-SHA256 over all of that. It lives as long as its key is kept, since a mail does.
"""

from __future__ import annotations

import hmac
import re
import struct
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

TOKEN = re.compile(r"[A-Za-z0-9_-]{72}")
LAYOUT = struct.Struct(">BB4s16s16s")
SIGNATURE = 16
VERSION = 1
CONTEXT = b"espmail unsubscribe\0"  # so that no other use of the key can make a token
MIN_KEY = 32
# What a token unsubscribes from, as its byte. Append only: tokens are in people's mailboxes.
PURPOSES = {"request": 1, "list": 2, "alias": 3}
PURPOSE_NAMES = {byte: name for name, byte in PURPOSES.items()}


class BadToken(ValueError):
    """This is no token of ours, or its key is no longer kept. Says no more: it answers strangers."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Secrets of at least 32 bytes, the newest first: it signs, all of them verify."""

    secrets: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secrets or any(len(secret) < MIN_KEY for secret in self.secrets):
            raise ValueError(f"a keyring needs at least one secret, each of {MIN_KEY} bytes or more")


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """What a genuine token says: take this address off mail of this purpose; it was asked for in answer to this email."""

    address_hash: str
    purpose: str
    email_id: str


def make_token(keyring: Keyring, address_hash: str, purpose: str, email_id: str) -> str:
    """Deterministic: the same email has the same link on every replay."""
    secret = keyring.secrets[0]
    body = LAYOUT.pack(VERSION, PURPOSES[purpose], _key_id(secret), bytes.fromhex(address_hash), bytes.fromhex(email_id.replace("-", "")))
    return urlsafe_b64encode(body + _signature(secret, body)).decode()


def read_token(keyring: Keyring, token: str) -> Unsubscribe:
    """Raises BadToken unless each bit of `token` is as it was made. Takes as long for any token of the right shape."""
    if not TOKEN.fullmatch(token):
        raise BadToken("not an unsubscribe token")
    data = urlsafe_b64decode(token)
    body, signature = data[:-SIGNATURE], data[-SIGNATURE:]
    genuine = [hmac.compare_digest(_signature(secret, body), signature) for secret in keyring.secrets]
    version, purpose, _, address_hash, email_id = LAYOUT.unpack(body)
    if not any(genuine) or version != VERSION or purpose not in PURPOSE_NAMES:
        raise BadToken("not an unsubscribe token")
    return Unsubscribe(address_hash.hex(), PURPOSE_NAMES[purpose], str(uuid.UUID(bytes=email_id)))


def unsubscribe_url(domain: str, token: str) -> str:
    """Where a mail program posts to (RFC 8058), and where a person finds the page."""
    return f"https://{domain}/unsubscribe/{token}"


def _signature(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, CONTEXT + body, "sha256")[:SIGNATURE]


@cache
def _key_id(secret: bytes) -> bytes:
    """Which key made a token, for operators who wonder whether an old one can go."""
    return sha256(CONTEXT + secret).digest()[:4]
