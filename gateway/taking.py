"""One mail between DATA and its answer: from whom it is, what was read of it, and what it holds of the memory."""

from __future__ import annotations

from gateway.intake import Envelope
from gateway.limits import Limits, Memory
from gateway.smtp_in_data import MailReader
from streams import metrics


class Taking:
    """Counted as in flight until `end`, which must be called once."""

    __slots__ = ("_held", "envelope", "reader")

    def __init__(self, envelope: Envelope, limits: Limits, memory: Memory) -> None:
        self.envelope = envelope
        self._held = memory.hold()
        self.reader = MailReader(limits.mail, self._held.grow)
        metrics.GATEWAY_IN_FLIGHT.inc()

    def end(self) -> None:
        """It was stored, refused or given up."""
        self._held.release()
        metrics.GATEWAY_IN_FLIGHT.dec()
