"""What expand and route have finished, so that a replay does nothing: an expanded chunk, a routed mail."""

from __future__ import annotations

from typing import Any

from streams.events import InboundDropped, InboundHeld, InboundNoticed, InboundRouted, RequestExpanded
from streams.state.ledger import Entry

ROUTINGS = (InboundRouted, InboundHeld, InboundDropped, InboundNoticed)


def chunk_key(request_id: str, chunk: int) -> bytes:
    """One record of a request."""
    return f"{request_id}/{chunk}".encode()


def expanded_entry(event: Any) -> Entry | None:
    """Of `expansions`: that a chunk is expanded, and when (microseconds since 1970)."""
    if not isinstance(event, RequestExpanded):
        return None
    return chunk_key(event.request_id, event.chunk), micros(event)


def routed_entry(event: Any) -> Entry | None:
    """Of `routings`: that a mail is decided on, and when last (microseconds since 1970)."""
    return (event.inbound_id.encode(), micros(event)) if isinstance(event, ROUTINGS) else None


def micros(event: Any) -> int:
    """The instant of an event as a number that grows with it."""
    return int(event.at.timestamp() * 1_000_000)
