"""Variable envelope return paths: each mail's own bounce address, so that a bounce names its mail whatever it says."""

from __future__ import annotations

import re
from collections.abc import Iterable

from streams.domain.addresses import MAX_LOCAL, check_address, normalise
from streams.events import SiteRow

EMAIL_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"  # a UUIDv5 (ids.py); others make v4
EMAIL_ID_SHAPE = re.compile(EMAIL_ID)
TAGGED = re.compile(rf"[^@+]+\+({EMAIL_ID})@[^@]+", re.IGNORECASE)


def verp(bounces: str, email_id: str) -> str:
    """`bounces` with the email id in it: emailbounces+<id>@learningu.org. Raises ValueError where that is no address."""
    local, _, domain = check_address(bounces).rpartition("@")
    if len(local) + 1 + len(email_id) > MAX_LOCAL:
        raise ValueError(f"{bounces!r} is too long to carry an email id: {MAX_LOCAL - 1 - len(email_id)} characters may stand before the @")
    return f"{local}+{email_id}@{domain}"


def read_verp(address: str) -> str | None:
    """The email id in a bounce address, in the case in which we write it; none for any other address. Never raises."""
    found = TAGGED.fullmatch(address.strip("<> \t"))
    return found[1].lower() if found else None


def is_for_bounces(address: str, sites: Iterable[SiteRow]) -> bool:
    """Whether mail to `address` is for a site's bounces address: the same, or with anything behind a plus. Never raises.

    Its domain may be none of the sites'.
    """
    local, _, domain = normalise(address.strip("<> \t")).rpartition("@")
    for site in sites:
        own, _, own_domain = normalise(site.bounces).rpartition("@")
        if own and domain == own_domain and (local == own or local.startswith(f"{own}+")):
            return True
    return False
