"""Amazon SNS messages to an HTTPS endpoint, and the SES events that they carry.

    certificate_url(message) -> the URL to fetch its certificate from, checked
    genuine(message, certificate) -> bool
    read_event(message) -> list of EmailBounced, EmailComplained

`message` is the request's JSON object. Whoever fetches asks only hosts of SNS itself (no request forgery), over https.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from streams.domain.addresses import address_hash
from streams.domain.verdicts import one_line
from streams.domain.verp import EMAIL_ID_SHAPE
from streams.events import EmailBounced, EmailComplained

# The host with a region's shape: sns.s3.amazonaws.com and its like are whatever somebody put into a bucket of that name. Of its
# paths only certificates: the calls that it answers as well may repeat what was asked.
HOST = r"https://sns\.[a-z]{2}(?:-[a-z]{2,12}){1,3}-\d{1,2}\.amazonaws\.com(?:\.cn)?"
CERTIFICATE = re.compile(rf"{HOST}/SimpleNotificationService-[0-9a-f]{{1,64}}\.pem")
CONFIRMATION = re.compile(rf"{HOST}/\?[!-~]+")
SOURCE = "ses"
# The signed fields by the message's type, in the order in which they are signed; a Subject may be missing.
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
HASHES = {"1": SHA1, "2": SHA256}
HARD = "Permanent"  # of Permanent, Transient and Undetermined
# What SES says of a bounce in a word of its own, as a code of RFC 3463, for reports that have none.
STATUSES = {"MessageTooLarge": "5.3.4", "ContentRejected": "5.6.0", "AttachmentRejected": "5.6.0"}


def certificate_url(message: Mapping[str, Any]) -> str:
    """Raises ValueError if it is not SNS's own."""
    return _of_sns(message.get("SigningCertURL"), CERTIFICATE)


def subscribe_url(message: Mapping[str, Any]) -> str:
    """Where a subscription is confirmed by a GET. Raises ValueError if it is not SNS's own."""
    return _of_sns(message.get("SubscribeURL"), CONFIRMATION)


def genuine(message: Mapping[str, Any], certificate: bytes) -> bool:
    """Whether the owner of `certificate` (PEM, fetched from certificate_url) signed the message. Never raises."""
    fields = SIGNED.get(str(message.get("Type")), ())
    signed = "".join(f"{name}\n{message[name]}\n" for name in fields if name in message)
    algorithm = HASHES.get(str(message.get("SignatureVersion")))
    try:
        key = load_pem_x509_certificate(certificate).public_key()
        if not (fields and algorithm and isinstance(key, RSAPublicKey)):
            return False
        key.verify(b64decode(str(message.get("Signature")), validate=True), signed.encode(), PKCS1v15(), algorithm())
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def read_event(message: Mapping[str, Any]) -> list[EmailBounced | EmailComplained]:
    """What a genuine notification reports, one event a recipient; nothing for deliveries and the like. Never raises."""
    try:
        event = json.loads(message["Message"])
        reader = READERS[event.get("eventType") or event["notificationType"]]  # of a configuration set, or of an identity
        return reader(event)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return []


def _bounces(event: dict[str, Any]) -> list[EmailBounced | EmailComplained]:
    bounce, email_id = event["bounce"], _email_id(event)
    at, kind = _instant(bounce["timestamp"]), "hard" if bounce["bounceType"] == HARD else "soft"
    status = STATUSES.get(str(bounce.get("bounceSubType")), "")
    return [
        EmailBounced(
            feedback_id=f"{SOURCE}/{bounce['feedbackId']}/{number}",
            at=at,
            email_id=email_id,
            address_hash=address_hash(recipient["emailAddress"]),
            kind=kind,
            status=one_line(str(recipient.get("status", ""))) or status,
            diagnostic=one_line(str(recipient.get("diagnosticCode", ""))),
            source=SOURCE,
        )
        for number, recipient in enumerate(bounce["bouncedRecipients"])
    ]


def _complaints(event: dict[str, Any]) -> list[EmailBounced | EmailComplained]:
    complaint, email_id = event["complaint"], _email_id(event)
    if complaint.get("complaintFeedbackType") == "not-spam":
        return []
    at = _instant(complaint["timestamp"])
    return [
        EmailComplained(f"{SOURCE}/{complaint['feedbackId']}/{number}", at, email_id, address_hash(recipient["emailAddress"]), SOURCE)
        for number, recipient in enumerate(complaint["complainedRecipients"])
    ]


READERS = {"Bounce": _bounces, "Complaint": _complaints}


def _email_id(event: dict[str, Any]) -> str | None:
    """From our own Message-ID, which SES replaces on the wire but tells of among the headers."""
    for header in event["mail"].get("headers", []):
        if header["name"].lower() == "message-id":
            given = header["value"].strip("<> ").partition("@")[0]
            return given if EMAIL_ID_SHAPE.fullmatch(given) else None
    return None


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant without a zone")
    return at


def _of_sns(url: object, shape: re.Pattern[str]) -> str:
    if not (isinstance(url, str) and shape.fullmatch(url)):
        raise ValueError("the URL is none of Amazon SNS's own")
    return url
