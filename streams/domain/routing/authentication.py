"""Whether the From address is who it says, by the receiving MTA's own Authentication-Results (RFC 8601).

Only the topmost such field that names a host the site trusts is believed: anything below it came from outside
(reliability.md, row I-17). No DNS is asked here: where the MTA says nothing there is no answer, unless the gateway was told
to find one (gateway/vouching.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import authres

from streams.domain.routing.fields import Head

MAX_RESULTS = 10_000
# Which property of a passed method names the domain that it vouches for.
VOUCHES = {("dkim", "header", "d"), ("spf", "smtp", "mailfrom")}


Results = tuple[str, str]  # the host that judged, and its whole value


def authenticated(said: Results | None, address: str) -> bool | None:
    """True or false as these results have it for the domain of this normalised address; none if there are none.

    DMARC's verdict counts where there is one, else an aligned DKIM or SPF pass. Results that cannot be read are false.
    """
    if said is None:
        return None
    try:
        results = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {said[1]}").results
    except (authres.AuthResError, RecursionError):
        return False
    verdicts = [bool(result.result == "pass") for result in results if result.method == "dmarc" and result.result in ("pass", "fail")]
    if verdicts:
        return verdicts[0]
    domain = address.rpartition("@")[2]
    return any(_aligned(vouched, domain) for vouched in _vouched(results))


def trusted_results(head: Head, trusted: Collection[str]) -> Results | None:
    """The topmost results whose first word is a trusted host, bounded: (host as written, whole value)."""
    hosts = {host.lower() for host in trusted}
    for field in head.all("authentication-results") if hosts else ():
        words = field.text.partition(";")[0].split()
        if words and words[0].lower() in hosts:
            return words[0], field.text[:MAX_RESULTS]
    return None


def _vouched(results: list[authres.AuthenticationResult]) -> Iterator[str]:
    for result in results:
        if result.result == "pass":
            for prop in result.properties:
                if (result.method, prop.type, prop.name) in VOUCHES:
                    yield prop.value.rpartition("@")[2].lower()


def _aligned(vouched: str, domain: str) -> bool:
    """Relaxed alignment: one is the other or below it (RFC 7489, section 3.1)."""
    return "." in vouched and (vouched == domain or vouched.endswith(f".{domain}") or domain.endswith(f".{vouched}"))
