"""One mail being decided: everything that is known before any rule is asked."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from streams.domain.routing.arc import SealKey
from streams.domain.routing.authentication import Results
from streams.domain.routing.directory import Directory
from streams.domain.routing.fields import Head
from streams.domain.routing.model import Addressee, Inbound
from streams.domain.routing.posting import Sender
from streams.domain.routing.quota import Quota
from streams.events import SiteRow


@dataclass(frozen=True, slots=True)
class Case:
    """What every rule is asked about.

    `results`: who vouches for the sender, as far as anybody found out. `trusted_list`: a list host that the site believes
    sent it. `approved`: a moderator let it pass, so nobody else is asked. `marks`: addresses of the site that it went
    through before. `told`: address hashes of those who had a notice within the last day. `quota`: how much mail may come;
    none: any. `seal_key`: what forwards are sealed with, if anything.
    """

    mail: Inbound
    head: Head
    to: Addressee
    sender: Sender
    results: Results | None
    trusted_list: bool
    marks: frozenset[Addressee]
    directory: Directory
    approved: bool
    told: Container[str]
    quota: Quota | None
    seal_key: SealKey | None

    @property
    def site(self) -> SiteRow:
        return self.directory.sites[self.to.domain]
