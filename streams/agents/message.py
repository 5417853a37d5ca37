"""The bytes of an email as the MTA gets them: composed by us, or a stored original behind its edited header."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping

from gateway.bodies import Bodies
from gateway.smtp_out import Envelope
from streams.domain.addresses import check_address
from streams.domain.compose import compose, needs_smtputf8, relay
from streams.domain.dkim_sign import sign
from streams.domain.mime_fields import wire_address
from streams.domain.routing.arc import SealKey
from streams.events import ClaimCheck, Composed, EmailQueued, Relayed

KEPT_BYTES = 64_000_000
Write = Callable[[EmailQueued, Mapping[str, bytes]], bytes]
FROM = re.compile(rb"^From:((?:[^\r\n]|\r\n[ \t])*)", re.IGNORECASE | re.MULTILINE)


class Unwritable(ValueError):
    """No legal mail can be made of this email; trying again would not help."""


class MessageBytes:
    """Fetches what is claim-checked (in threads), composes (here: it takes microseconds) and signs what is from the key's domain."""

    def __init__(self, bodies: Bodies, key: SealKey | None = None, write: Write = compose) -> None:
        """`write` makes what a transport takes of composed mail: the whole message, or a provider's document."""
        self._bodies = bodies
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._key = key
        self._write = write

    async def of(self, email: EmailQueued) -> tuple[bytes, Envelope]:
        """Raises Unwritable for an email that cannot be written, BodyError if a stored body cannot be had."""
        try:
            message = self._signed(await self._written(email))
            return message, envelope_of(email)
        except (ValueError, UnicodeError) as error:
            raise Unwritable(str(error)) from error

    async def _written(self, email: EmailQueued) -> bytes:
        content = email.content
        if isinstance(content, Relayed):
            return relay(email, await self._body(content))
        return self._write(email, await self._files(content))

    def _signed(self, message: bytes) -> bytes:
        if self._key is None or not is_from(message, self._key.domain):
            return message
        return sign(message, self._key.domain, self._key.selector, self._key.private_key)

    async def _body(self, content: Relayed) -> bytes:
        if content.claim is None:
            return content.body or b""
        return (await self._stored(content.claim))[content.body_start :]

    async def _files(self, content: Composed) -> dict[str, bytes]:
        return {file.body.key: await self._stored(file.body) for file in content.attachments}

    async def _stored(self, claim: ClaimCheck) -> bytes:
        """A stored body, kept for the next recipient's mail: the same one goes to all."""
        found = self._kept.get(claim.key)
        if found is None:
            found = self._kept[claim.key] = await asyncio.to_thread(self._bodies.get, claim)
        while sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return found


def envelope_of(email: EmailQueued) -> Envelope:
    """The envelope as SMTP carries it: domains in ASCII. Raises ValueError for an address that cannot be written."""
    sender = wire_address(one_address(email.envelope_from)) if email.envelope_from else ""
    return Envelope(sender, wire_address(one_address(email.recipient)), needs_smtputf8(email))


def one_address(text: str) -> str:
    """`text`, if it is one address and nothing beside it. Raises ValueError: a server must not be left to make sense of it."""
    if check_address(text) != text:
        raise ValueError(f"{text[:80]!r} has something around the address")
    return text


def is_from(message: bytes, domain: str) -> bool:
    """True if the From field names an address of `domain` or below it: a signature of another domain would prove nothing."""
    found = FROM.search(message)
    author = found[1].rstrip(b"> \t").rpartition(b"@")[2].decode("ascii", "replace").lower() if found else ""
    return author == domain or author.endswith(f".{domain}")
