"""Who vouches for a mail's sender, found out by ourselves: SPF (pyspf), DKIM and DMARC (authheaders), by asking the DNS.

SPF is asked only where the client is the sending host itself: behind an MTA that host is not ours to see. Whatever goes
wrong vouches for nobody, so that no mail and no name server can talk its way in.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from streams.domain.routing.authentication import Results
from streams.domain.routing.fields import scan

DEADLINE_S = 20.0  # the DNS client gives up a question after five
SPF_S = 10  # of these, for all questions of SPF together
DOMAIN = re.compile(r"(?=.{1,255}\Z)[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.IGNORECASE)
MAX_SIGNATURE = 4_096  # bytes of a DKIM-Signature; those of the longest keys take 2,000
LONG_BLANKS = re.compile(rb"[ \t]{16,}")
MAX_BLANKS = 20_000_000  # their squares: a tenth of a second; indented text of a megabyte has a million
PLAIN = re.compile(r"[a-z0-9._+=-]{1,64}@[a-z0-9._-]{1,255}", re.IGNORECASE)
log = logging.getLogger(__name__)

Lookup = Callable[..., object]  # the TXT record of a name, as dkimpy and authheaders ask for it
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Client:
    """The sending host: its address, what it called itself, and its MAIL FROM (blank: the null sender)."""

    address: str
    helo: str
    mail_from: str

    @property
    def domain(self) -> str:
        """Whose SPF record is asked for (RFC 7208, section 2.4)."""
        return self.mail_from.rpartition("@")[2] or self.helo


def networks(text: str) -> list[Network]:
    """The addresses and networks of a setting, with commas. Raises ValueError."""
    return [ipaddress.ip_network(item.strip()) for item in text.split(",") if item.strip()]


def is_outside(client: str, ours: Sequence[Network]) -> bool:
    """True if a mail came from a stranger's host: from an address that is neither private nor of these networks.

    Also by LMTP: its port is as open as SMTP's beside it, so speaking it proves nothing.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global and not any(address in network for network in ours)


async def found_out(
    content: bytes, host: str, lookup: Lookup | None = None, deadline_s: float = DEADLINE_S, client: Client | None = None
) -> Results:
    """What `host` would write into Authentication-Results of this canonical content. `lookup`: another DNS for DKIM and DMARC, for trials.

    With a `client`, SPF is among it.
    """
    try:
        async with asyncio.timeout(deadline_s):
            value = await asyncio.to_thread(_judged, content, host, lookup, client)
    except TimeoutError:
        log.warning("the DNS does not say who vouches for a mail")
        value = f"{host}; none"
    return Results(host, value, own=True)


def _judged(content: bytes, host: str, lookup: Lookup | None, client: Client | None) -> str:
    import authheaders  # it and its DNS library take a while to import, and most sites have an MTA that judges
    import authres

    if _is_costly(content):
        log.warning("it is not found out who vouches for a mail that would take too long to check")
        return f"{host}; none"
    try:
        known = [*_spf(client), *_unsigned(content)]
        prev = str(authres.AuthenticationResultsHeader(authserv_id=host, results=known)) if known else None
        header: str = authheaders.authenticate_message(content, host, prev=prev, dnsfunc=lookup)
    except Exception as error:  # noqa: BLE001 - two libraries read a stranger's header and a stranger's DNS
        log.warning("it cannot be said who vouches for a mail: %s", type(error).__name__)
        return f"{host}; none"
    return " ".join(header.partition(":")[2].split())


def _is_costly(content: bytes) -> bool:
    """True for a mail made so that dkimpy's expressions, quadratic in a run of blanks, would stop this whole process for a minute.

    A thread is no help there, and no deadline: an expression at work lets nothing else run.
    """
    head = scan(content)
    signatures = head.all("dkim-signature")
    if not signatures or any(len(signature.raw) > MAX_SIGNATURE for signature in signatures):
        return bool(signatures)
    return sum(len(run) ** 2 for run in LONG_BLANKS.findall(content, head.body_start)) > MAX_BLANKS


def _unsigned(content: bytes) -> Iterator[object]:
    """DKIM's verdict on a mail without a signature, which authheaders would call a failure."""
    import authres

    if not scan(content).all("dkim-signature"):
        yield authres.DKIMAuthenticationResult(result="none")


def _spf(client: Client | None) -> Iterator[object]:
    """SPF's verdict, if there is anything to ask.

    The result's word and a plain address: an explanation would be a stranger's text in what we say ourselves.
    """
    if client is None or not DOMAIN.fullmatch(client.domain):
        return
    import authres
    import spf

    spf.DNSLookup = _asked  # pyspf's own uses what dnspython has deprecated
    helo = client.helo if DOMAIN.fullmatch(client.helo) else client.domain
    sender = client.mail_from if PLAIN.fullmatch(client.mail_from) else f"postmaster@{client.domain}"
    result, _ = spf.check2(client.address, sender, helo, timeout=SPF_S, querytime=SPF_S)
    yield authres.SPFAuthenticationResult(result=result, smtp_mailfrom=sender)


def _asked(name: str, kind: str, _tcp: bool = True, timeout: float = SPF_S) -> list[tuple[tuple[str, str], object]]:  # noqa: FBT001, FBT002 - as pyspf calls it
    """The records of a name as pyspf wants them; none there are none. Raises pyspf's TempError."""
    import dns.exception
    import dns.resolver
    import spf

    try:
        answer = dns.resolver.resolve(name, kind, lifetime=timeout, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise spf.TempError(f"DNS {type(error).__name__}") from error
    return [((name, kind), _value(record, kind)) for record in answer]


def _value(record: object, kind: str) -> object:
    if kind in ("TXT", "SPF"):
        return record.strings  # type: ignore[attr-defined]
    if kind == "MX":
        return record.preference, record.exchange.to_text(omit_final_dot=True)  # type: ignore[attr-defined]
    if kind in ("A", "AAAA"):
        return record.address  # type: ignore[attr-defined]
    return record.target.to_text(omit_final_dot=True)  # type: ignore[attr-defined]
