"""Who a request may claim to be (spec 5.1 as replaced by spec 8, rows 19, 20 and 58)."""

from __future__ import annotations

import re

from streams.domain.addresses import CONTROL, AddressError, Mailbox, ascii_domain, format_address, parse_mailbox
from streams.events import Site

ORGANISATION = "learningu.org"
# A display name that RFC 5322 (section 3.2.5, phrase) allows without quotes; beyond ASCII by RFC 6532.
PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]+)*")


def read_sender(text: str, site: Site, *, one_label: bool = False) -> str:
    """The From value for `text`, formatted. Raises AddressError, which names the address and the allowed domains.

    `one_label` keeps the original's narrower set: learningu.org and its direct subdomains only.
    """
    mailbox = parse_mailbox(text)
    domain = ascii_domain(mailbox.address.rpartition("@")[2])
    if not _is_allowed(domain, ascii_domain(site.domain), one_label=one_label):
        raise AddressError(
            f"{mailbox.address} may not be the sender: its domain must be {site.domain}, {ORGANISATION} or a subdomain of {ORGANISATION}"
        )
    return _formatted(mailbox, text.strip())


def default_sender(site: Site) -> str:
    """The site's own From (spec 2.4), used where a request names no sender."""
    return _formatted(Mailbox(site.group_name, f"info@{site.domain}"), "")


def _is_allowed(domain: str, site_domain: str, *, one_label: bool) -> bool:
    if domain in (site_domain, ORGANISATION):
        return True
    above = domain.partition(".")[2]
    return above == ORGANISATION if one_label else domain.endswith(f".{ORGANISATION}")


def _formatted(mailbox: Mailbox, written: str) -> str:
    """As written where that is legal; otherwise with the name in quotes."""
    if PLAIN_PHRASE.fullmatch(mailbox.name) and not CONTROL.search(mailbox.name) and not written.startswith('"'):
        return f"{mailbox.name} <{mailbox.address}>"
    return format_address(mailbox.name, mailbox.address)
