"""Mail that waits for a moderator: whom to ask, what they are told, and the link that they answer by.

The link's token names the mail and the notice, and is signed; it works until somebody has decided. It is 92 characters of
URL-safe Base64: version, key id (4 bytes), inbound id (32), the notice's email id (16), 16 bytes of HMAC-SHA256 over all of
that. Whoever holds it may decide on that one mail and on nothing else.
"""

from __future__ import annotations

import hmac
import re
import struct
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from hashlib import sha256

from streams.domain.addresses import CONTROL
from streams.domain.outgoing.unsubscribe import BadToken, Keyring
from streams.domain.routing.authentication import in_words, judgement
from streams.domain.routing.case import Case
from streams.domain.routing.handlers import Declined
from streams.domain.routing.letters import letter, letter_id
from streams.domain.routing.model import Member, Message
from streams.domain.routing.plan import Plan, find_route, follow, unfit
from streams.domain.routing.words import decoded

PURPOSE = "moderation"
TOKEN = re.compile(r"[A-Za-z0-9_-]{92}")
LAYOUT = struct.Struct(">B4s32s16s")
SIGNATURE = 16
VERSION = 1
CONTEXT = b"espmail moderation\0"  # so that no other use of the keyring makes a token that decides
MOST_MODERATORS = 10
MAX_SHOWN = 200  # characters of what a stranger wrote
TEXT = """A mail to {address} waits for your decision: {why}

    From:     {sender}
    Subject:  {subject}
    Received: {received:%Y-%m-%d %H:%M} UTC
    Checked:  {checked}

Look at it, and approve or reject it here:
{url}

Until then nobody gets it. If several people are asked, the first decision counts.
"""
WHY = {
    "admin_hold": "mail to this list is read before it goes out.",
    "stranger": "its sender is not known here.",
    "sender_not_authenticated": "it may be forged; its sender's mail server does not vouch for it.",
    "from_missing": "it does not say whom it is from.",
    "from_several": "it names more than one sender.",
    "from_ambiguous": "it cannot be said for sure whom it is from.",
    "header_too_large": "its header is too large to be honest.",
    "too_many_fields": "its header is too large to be honest.",
    "too_many": "there was a lot of mail from this sender, or to this address, within an hour.",
}


@dataclass(frozen=True, slots=True)
class Asking:
    """How moderators are asked. `directors`: a class's director is asked first, the site's support only where there is none."""

    keyring: Keyring
    directors: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """What a genuine token says: which mail, and in which notice the link stood."""

    inbound_id: str
    email_id: str


def requests(case: Case, reason: str, director: str, asking: Asking) -> tuple[Message, ...]:
    """One notice to each moderator of a held mail; `director` is blank where the address has none."""
    people = moderators(case, director if asking.directors else "")
    return tuple(_request(case, reason, person, asking.keyring) for person in people)


def moderators(case: Case, director: str) -> tuple[Member, ...]:
    """The director, else the site's support; behind an alias of the site, the people it leads to.

    They are found here because a notice that came back through the gateway would be dropped as a machine's.
    """
    found = (_behind(address, case) for address in (director, case.site.support) if address)
    return next((people for people in found if people), ())[:MOST_MODERATORS]


def make_token(keyring: Keyring, inbound_id: str, email_id: str) -> str:
    """Deterministic: the same notice has the same link on every replay."""
    secret = keyring.secrets[0]
    body = LAYOUT.pack(VERSION, _key_id(secret), bytes.fromhex(inbound_id), uuid.UUID(email_id).bytes)
    return urlsafe_b64encode(body + _signature(secret, body)).decode()


def read_token(keyring: Keyring, token: str) -> Said:
    """Raises BadToken unless each bit of `token` is as it was made, by a key that is still kept."""
    if not TOKEN.fullmatch(token):
        raise BadToken("not a moderation token")
    data = urlsafe_b64decode(token)
    body, signature = data[:-SIGNATURE], data[-SIGNATURE:]
    genuine = [hmac.compare_digest(_signature(secret, body), signature) for secret in keyring.secrets]
    version, _, inbound_id, email_id = LAYOUT.unpack(body)
    if not any(genuine) or version != VERSION:
        raise BadToken("not a moderation token")
    return Said(inbound_id.hex(), str(uuid.UUID(bytes=email_id)))


def moderation_url(domain: str, token: str) -> str:
    """The page where a moderator decides."""
    return f"https://{domain}/moderation/{token}"


def _behind(address: str, case: Case) -> tuple[Member, ...]:
    """Who reads mail to this address; nobody if it leads nowhere."""
    inside, plan = case.directory.addressee(address), Plan()
    if inside is None:
        person = Member("", address)
        return () if unfit(plan, person, PURPOSE, case.directory) else (person,)
    route = find_route(inside, case, plan.faults)
    if isinstance(route, Declined) or route.rule.handler.broadcast:
        return ()  # no list is asked
    follow(plan, (inside,), route, replace(case, approved=True))
    return tuple(person for branch in plan.branches if not branch.route.rule.handler.broadcast for person in branch.members)


def _request(case: Case, reason: str, person: Member, keyring: Keyring) -> Message:
    mail, sender = case.mail, case.sender.mailbox
    token = make_token(keyring, mail.inbound_id, letter_id(mail, PURPOSE, person.address))
    subject = _shown(decoded(case.head.text("subject")))
    text = TEXT.format(
        address=case.to.address,
        why=WHY[reason],
        sender=_shown(f"{sender.name} <{sender.address}>".strip() if sender else mail.mail_from or "nobody"),
        subject=subject or "none",
        received=mail.received_at,
        checked=_shown(in_words(judgement(case.results))),
        url=moderation_url(case.site.domain, token),
    )
    about = f"Mail to {case.to.address} waits for you: {subject}" if subject else f"Mail to {case.to.address} waits for you"
    return letter(mail, case.site, person, PURPOSE, about, text, [b"Auto-Submitted: auto-generated"])


def _shown(text: str) -> str:
    """A stranger's words on one line, and not too many."""
    line = " ".join(CONTROL.sub(" ", text).split())
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}..."


def _signature(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, CONTEXT + body, "sha256")[:SIGNATURE]


def _key_id(secret: bytes) -> bytes:
    """Which key made a token, for operators who wonder whether an old one can go."""
    return sha256(CONTEXT + secret).digest()[:4]
