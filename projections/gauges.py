"""How far the projector is, as metrics."""

from __future__ import annotations

from projections.runner import Projector
from streams import metrics


class Gauges:
    """`observe` after each batch; costs nothing that counts."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._folded = 0

    def observe(self) -> None:
        """Set them to what the projector knows by now; asks neither broker nor database."""
        if self._projector.folded > self._folded:
            metrics.PROJECTOR_FOLDED.inc(self._projector.folded - self._folded)
            metrics.PROJECTOR_LAST_COMMIT.set_to_current_time()
            self._folded = self._projector.folded
        for (topic, number), end in self._projector.feed.ends().items():
            folded = self._projector.positions.get((topic, number), 0)
            metrics.PROJECTOR_LAG.labels(topic, number).set(max(0, end - folded))
