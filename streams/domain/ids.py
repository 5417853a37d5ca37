"""Identities, all computed from what they name, so that a replay makes the same ones (architecture.md, Topics)."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

from streams.domain.addresses import normalise

# Fixed for ever: another value would make every replayed event a new mail.
NAMESPACE = uuid.UUID("6f1c4b5e-6f2e-5d0a-9c57-2b8f0d1e7a43")


def request_email_id(request_id: str, user_id: str, address: str) -> str:
    """The id of a request's mail to one address of one person; also of the skip, where there is no address ('')."""
    return str(uuid.uuid5(NAMESPACE, "\0".join(("request", request_id, user_id, normalise(address)))))


def report_email_id(request_id: str, address: str) -> str:
    """The id of a request's failure report to one address: a request has one report, however often it is written."""
    return str(uuid.uuid5(NAMESPACE, "\0".join(("report", request_id, normalise(address)))))


def trial_email_id(request_id: str, address: str, at: datetime) -> str:
    """The id of a test mail: each one that is asked for is a mail of its own."""
    return str(uuid.uuid5(NAMESPACE, "\0".join(("trial", request_id, normalise(address), at.isoformat()))))


def inbound_email_id(inbound_id: str, part: str, address: str) -> str:
    """The id of what an address gets of an inbound mail; `part` says whether that is its copy or which notice."""
    return str(uuid.uuid5(NAMESPACE, "\0".join(("inbound", inbound_id, part, normalise(address)))))


def inbound_id(mail_from: str, rcpt_to: str, content: bytes) -> str:
    """Hash of one envelope recipient's mail (64 hex digits): a retransmission has the same."""
    return inbound_id_of(mail_from, rcpt_to, hashlib.sha256(content).digest())


def inbound_id_of(mail_from: str, rcpt_to: str, digest: bytes) -> str:
    """The same from the content's SHA-256, for a mail to many that is hashed once."""
    envelope = f"{normalise(mail_from)}\0{normalise(rcpt_to)}\0".encode("utf-8", "surrogateescape")
    return hashlib.sha256(envelope + digest).hexdigest()


def message_id(email_id: str, domain: str) -> str:
    """The Message-ID of an email, angle brackets included; the same on every attempt."""
    return f"<{email_id}@{domain}>"
