"""An ARC set for forwarded mail (RFC 8617): what our MTA found out about the sender, sealed with the site's key.

Only forwards are sealed: a broadcast is the site's own mail and passes DMARC by itself. Deterministic: the same mail
gets the same seal on every replay. dkimpy does it, in some 20 ms; one seal serves all copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import dkim

from streams.domain.dkim_sign import relaxed_body
from streams.domain.routing.authentication import Results
from streams.domain.routing.fields import scan

# What the recipient's server should find as it was here (RFC 8617, section 4.1.2; trace fields change on the way).
SIGNED = ("from", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references", "mime-version", "content-type")


@dataclass(frozen=True, slots=True)
class SealKey:
    """A private RSA key in PEM, and where its public half stands in the DNS: `<selector>._domainkey.<domain>`."""

    domain: str
    selector: str
    private_key: bytes


def sealed(header: bytes, body: bytes, results: Results | None, key: SealKey, at: datetime) -> bytes:
    """The header block with an ARC set above it.

    `results` are the trusted host and its Authentication-Results (authentication.trusted_results). Without any, or on a
    chain that the host has not checked, no honest set can be made: the header comes back as it is.
    """
    if results is None:
        return header
    host, value = results.by, results.value
    fields = scan(header + b"\r\n").fields
    # Results of the same name below the trusted one came from outside, and dkimpy would believe them too.
    believed = f"Authentication-Results: {value}\r\n".encode() + b"".join(
        field.raw for field in fields if field.name != "authentication-results"
    )
    # Canonical beforehand, which changes no hash: on a body of blanks dkimpy's own way takes a minute, and the worker stands still.
    signed = [name.encode() for name in SIGNED if any(field.name == name for field in fields)]
    try:
        lines = dkim.arc_sign(
            believed + b"\r\n" + relaxed_body(body),
            key.selector.encode(),
            key.domain.encode(),
            key.private_key,
            host.encode(),
            include_headers=signed,
            timestamp=int(at.timestamp()),
        )
    except (dkim.DKIMException, ValueError):
        return header
    return b"".join(lines) + header
