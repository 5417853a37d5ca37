"""Whether anybody could reach an address: what the gateway asks at RCPT, where it is told to refuse unknown recipients."""

from __future__ import annotations

from streams.domain.routing.directory import Directory
from streams.domain.routing.handlers import Accepted, Asked
from streams.domain.routing.model import Addressee, key_of
from streams.domain.routing.posting import Sender
from streams.domain.routing.rules import Rule

ALWAYS = frozenset({"postmaster", "abuse"})  # RFC 5321, 4.5.1; RFC 2142
SOMEBODY = Sender(None)  # no rule declines a sender that it cannot name: that is left to who may post


def is_known(address: str, directory: Directory) -> bool:
    """True if the address is one of the site's own, or some rule takes it from somebody. No address of a site here: false."""
    to = directory.addressee(address)
    if to is None:
        return False
    site = directory.sites[to.domain]
    own = {key_of(own) for own in (site.support, site.default)}
    return to.local in ALWAYS or f"{to.local}@{to.domain}" in own or any(_takes(rule, to, directory) for rule in directory.rules)


def _takes(rule: Rule, to: Addressee, directory: Directory) -> bool:
    match = rule.pattern.search(to.local)
    if match is None:
        return False
    asked = Asked(to, match, rule.handler.groups, SOMEBODY, trusted_list=True, directory=directory)
    try:
        return isinstance(rule.handler.accept(asked), Accepted)
    except Exception:  # noqa: BLE001 - a site's own handler may raise anything; then routing, which reports it, decides
        return True
