"""What the sender asks of any way to hand mail over: SMTP (smtp_pool.py) or a provider (providers/)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.smtp_out import Envelope, Spoken


class Transport(Protocol):
    """Used from one event loop. Never raises but for cancellation and where it says so."""

    async def available(self, patience_s: float) -> Spoken | None:
        """Wait until a server is worth trying, at most `patience_s`; then return what it said last."""

    async def deliver(
        self, envelope: Envelope, message: bytes, may_offer: Callable[[], Awaitable[bool]], may_finish: Callable[[], bool]
    ) -> tuple[Spoken, str]:
        """Offer one mail once; return the last phase with its answer, and the server's name.

        `may_offer` is awaited when a connection is at hand, `may_finish` asked at the last moment, and once more where
        handing over takes long; raises Withheld if either says no. `message` is what this transport's composer wrote.
        """

    async def close(self) -> None:
        """Let go of every connection. May be repeated."""
