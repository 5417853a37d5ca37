"""Whether the From address is who it says, by the receiving MTA's own Authentication-Results (RFC 8601).

Only the topmost such field that names a host the site trusts is believed: anything below it came from outside
(reliability.md, row I-17). Nothing is believed that the sender's own host said when it came to our door itself. No DNS is
asked here: where the MTA says nothing there is no answer, unless the gateway was told to find one (gateway/vouching.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import authres

from streams.domain.addresses import CONTROL, normalise
from streams.domain.routing.fields import Head
from streams.events import Judgement, MethodResult

MAX_RESULTS = 10_000
# Which property of a passed method names the domain that it vouches for.
VOUCHES = {("dkim", "header", "d"), ("spf", "smtp", "mailfrom")}
# Of which property a method's verdict is told; the first that is there.
TOLD = {"spf": ("mailfrom", "helo"), "dkim": ("d", "i"), "dmarc": ("from",)}
MOST_TOLD = 10  # methods; a mail may have any number of signatures
MAX_TOLD = 255  # characters of a domain


class Results(NamedTuple):
    """The host that judged, its whole value, and whether that was this installation itself."""

    by: str
    value: str
    own: bool = False


def authenticated(said: Results | None, address: str) -> bool | None:
    """True or false as these results have it for the domain of this normalised address; none if there are none.

    DMARC's verdict counts where there is one, else an aligned DKIM or SPF pass. Results that cannot be read are false, and
    so is a DMARC pass that names another domain: its judge found another sender in the From header than we did.
    """
    if said is None:
        return None
    results = _read(said)
    domain = address.rpartition("@")[2]
    verdict = _verdict(results)
    if verdict is not None:
        judged = normalise(f"x@{_domain(verdict)}")[2:]
        return verdict.result == "pass" and (not judged or _aligned(judged, domain))
    return any(_aligned(vouched, domain) for vouched in _vouched(results))


def vouched_for(said: Results | None, hosts: Collection[str]) -> bool | None:
    """True or false as these results have a DKIM or SPF pass for one of these hosts; none if there are none."""
    if said is None:
        return None
    vouched = [*_vouched(_read(said))]
    return any(_aligned(domain, host.lower()) for domain in vouched for host in hosts)


def disowned(said: Results | None) -> bool:
    """True if the mail failed DMARC: the domain of its From header says that mail of its own would have passed."""
    verdict = _verdict(_read(said)) if said is not None else None
    return verdict is not None and verdict.result == "fail"


def trusted_results(head: Head, trusted: Collection[str]) -> Results | None:
    """The topmost results whose first word is a trusted host, bounded: (host as written, whole value)."""
    hosts = {host.lower() for host in trusted}
    for field in head.all("authentication-results") if hosts else ():
        words = field.text.partition(";")[0].split()
        if words and words[0].lower() in hosts:
            return Results(words[0], field.text[:MAX_RESULTS])
    return None


def judgement(said: Results | None) -> Judgement | None:
    """What is remembered of these results: each verdict of SPF, DKIM and DMARC. Of results that cannot be read, only whose they are."""
    if said is None:
        return None
    found = [MethodResult(result.method, _shown(result.result), _shown(_domain(result))) for result in _read(said) if result.method in TOLD]
    return Judgement(_shown(said.by), said.own, found[:MOST_TOLD])


def in_words(judged: Judgement | None) -> str:
    """One line for people."""
    if judged is None:
        return "nobody judged"
    found = ", ".join(f"{one.method} {one.result}" + (f" ({one.domain})" if one.domain else "") for one in judged.results)
    return f"{found or 'nothing'}, found out {'here' if judged.own else f'by {judged.by}'}"


def judgement_of(row: Mapping[str, Any] | None) -> Judgement | None:
    """Of its fields as JSON has them, as the tables keep it."""
    return None if row is None else Judgement(row["by"], row["own"], [MethodResult(**one) for one in row["results"]])


def _read(said: Results) -> list[authres.AuthenticationResult]:
    try:
        results: list[authres.AuthenticationResult] = authres.AuthenticationResultsHeader.parse(
            f"Authentication-Results: {said.value}"
        ).results
    except (authres.AuthResError, RecursionError):
        return []
    return results


def _verdict(results: list[authres.AuthenticationResult]) -> authres.AuthenticationResult | None:
    return next((result for result in results if result.method == "dmarc" and result.result in ("pass", "fail")), None)


def _domain(result: authres.AuthenticationResult) -> str:
    values = {prop.name: prop.value or "" for prop in result.properties}
    return str(next((values[name] for name in TOLD[result.method] if values.get(name)), "")).rpartition("@")[2].lower()


def _shown(text: str | None) -> str:
    return CONTROL.sub(" ", text or "none")[:MAX_TOLD] if text != "" else ""


def _vouched(results: list[authres.AuthenticationResult]) -> Iterator[str]:
    for result in results:
        if result.result == "pass":
            for prop in result.properties:
                if (result.method, prop.type, prop.name) in VOUCHES:
                    yield prop.value.rpartition("@")[2].lower()


def _aligned(vouched: str, domain: str) -> bool:
    """Relaxed alignment: one is the other or below it (RFC 7489, section 3.1)."""
    return "." in vouched and (vouched == domain or vouched.endswith(f".{domain}") or domain.endswith(f".{vouched}"))
