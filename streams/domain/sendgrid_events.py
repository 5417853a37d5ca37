"""SendGrid's signed event webhook: whether a request is genuine, and what it reports.

    genuine(public_key, signature, timestamp, body, now) -> bool
    read_events(body) -> list of EmailBounced, EmailComplained, Unsubscribed

Its sender is SendGrid, so the addresses in it count. SendGrid repeats itself: equal events have equal feedback ids.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from streams.domain.addresses import address_hash
from streams.domain.verdicts import one_line
from streams.domain.verp import EMAIL_ID_SHAPE
from streams.events import EmailBounced, EmailComplained, Unsubscribed

TOLERANCE = timedelta(minutes=5)  # of the signature's age: an old request that is sent again says nothing new
PURPOSE = "request"
SOURCE = "sendgrid"

Feedback = EmailBounced | EmailComplained | Unsubscribed


def genuine(public_key: str, signature: str, timestamp: str, body: bytes, now: datetime) -> bool:
    """Whether SendGrid signed exactly these bytes lately. False for anything that cannot be checked; never raises.

    `public_key` is as SendGrid shows it (SubjectPublicKeyInfo, DER, Base64), the others are the two headers of the request.
    """
    try:
        key = load_der_public_key(b64decode(public_key, validate=True))
        if not isinstance(key, EllipticCurvePublicKey) or abs(now - datetime.fromtimestamp(int(timestamp), UTC)) > TOLERANCE:
            return False
        key.verify(b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(SHA256()))
    except (ValueError, OverflowError, OSError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def read_events(body: bytes) -> list[Feedback]:
    """What a genuine request reports; deliveries, opens and the like are passed over. Raises ValueError for no list of events."""
    try:
        events = json.loads(body)
    except RecursionError:
        raise ValueError("nested without end") from None
    if not isinstance(events, list):
        raise ValueError("not a list of events")  # noqa: TRY004 - the request's fault, like all that json finds
    read = [_read(event) for event in events if isinstance(event, dict)]
    return [feedback for feedback in read if feedback is not None]


def _read(event: dict[str, Any]) -> Feedback | None:
    reader = READERS.get((str(event.get("event")), str(event.get("type", "")))) or READERS.get((str(event.get("event")), ""))
    address, unique, at = event.get("email"), event.get("sg_event_id"), event.get("timestamp")
    if reader is None or not (isinstance(address, str) and isinstance(unique, str) and isinstance(at, int)):
        return None
    try:
        return reader(event, datetime.fromtimestamp(at, UTC))
    except (OverflowError, OSError, ValueError):
        return None  # a time that there is not


def _bounced(kind: str, status: str = "") -> Callable[[dict[str, Any], datetime], EmailBounced]:
    """`status` where the event has none of its own."""

    def read(event: dict[str, Any], at: datetime) -> EmailBounced:
        said, told = one_line(str(event.get("reason", ""))), one_line(str(event.get("status", "")))
        return EmailBounced(_id(event), at, _email_id(event), address_hash(event["email"]), kind, told or status, said, SOURCE)

    return read


def _complained(event: dict[str, Any], at: datetime) -> EmailComplained:
    return EmailComplained(_id(event), at, _email_id(event), address_hash(event["email"]), SOURCE)


def _unsubscribed(event: dict[str, Any], at: datetime) -> Unsubscribed:
    return Unsubscribed(_id(event), at, _email_id(event), address_hash(event["email"]), PURPOSE, SOURCE)


def _dropped(event: dict[str, Any], at: datetime) -> Feedback:
    """SendGrid did not try, by its own suppression lists or rules."""
    reason = str(event.get("reason", ""))
    return next((reader for words, reader in DROPPED if words in reason), _bounced("soft"))(event, at)


def _id(event: dict[str, Any]) -> str:
    return f"{SOURCE}/{event['sg_event_id']}"


def _email_id(event: dict[str, Any]) -> str | None:
    given = str(event.get("email_id", ""))
    return given if EMAIL_ID_SHAPE.fullmatch(given) else None


# (event, type) -> what it means; no type stands for any other.
READERS: dict[tuple[str, str], Callable[[dict[str, Any], datetime], Feedback]] = {
    ("bounce", "bounce"): _bounced("hard"),  # SendGrid itself will not write to it again
    ("bounce", ""): _bounced("soft"),  # blocked: by policy, reputation, a full mailbox
    ("dropped", ""): _dropped,
    ("spamreport", ""): _complained,
    ("unsubscribe", ""): _unsubscribed,
    ("group_unsubscribe", ""): _unsubscribed,
}
DROPPED: tuple[tuple[str, Callable[[dict[str, Any], datetime], Feedback]], ...] = (
    ("Bounced Address", _bounced("hard")),
    ("Spam Reporting Address", _complained),
    ("Unsubscribed Address", _unsubscribed),
    # Of the mail or of our account: days of that must not add up to an address that gets no more.
    ("Invalid SMTPAPI header", _bounced("soft", "5.6.0")),
    ("Spam Content", _bounced("soft", "5.6.0")),
    ("Recipient List over Package Quota", _bounced("soft", "5.7.0")),
)
