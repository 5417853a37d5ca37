"""Who vouches for a mail's sender, found out by ourselves: DKIM and DMARC (authheaders), by asking the DNS.

SPF is left out: behind an MTA the sending host is not ours to see. Whatever goes wrong vouches for nobody, so that no mail
and no name server can talk its way in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from streams.domain.routing.authentication import Results

DEADLINE_S = 20.0  # the DNS client gives up a question after five
log = logging.getLogger(__name__)

Lookup = Callable[..., object]  # the TXT record of a name, as dkimpy and authheaders ask for it


async def found_out(content: bytes, host: str, lookup: Lookup | None = None, deadline_s: float = DEADLINE_S) -> Results:
    """What `host` would write into Authentication-Results of this canonical content. `lookup`: another DNS, for trials."""
    try:
        async with asyncio.timeout(deadline_s):
            value = await asyncio.to_thread(_judged, content, host, lookup)
    except TimeoutError:
        log.warning("the DNS does not say who vouches for a mail")
        value = f"{host}; none"
    return host, value


def _judged(content: bytes, host: str, lookup: Lookup | None) -> str:
    import authheaders  # it and its DNS library take a while to import, and most sites have an MTA that judges

    try:
        header: str = authheaders.authenticate_message(content, host, dnsfunc=lookup)
    except Exception as error:  # noqa: BLE001 - two libraries read a stranger's header and a stranger's DNS
        log.warning("it cannot be said who vouches for a mail: %s", type(error).__name__)
        return f"{host}; none"
    return " ".join(header.partition(":")[2].split())
