"""How often something happened within the last hour, by key; in memory.

Of this process alone, since its start: a restart, or a second process, makes a limit at most that many times larger. It
guards against floods, not against the last mail too many.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, timedelta

SPAN = timedelta(hours=1)
MAX_KEYS = 50_000


class Recent:
    """Counts by the instants that it is given, so that a backlog of an hour ago counts as then; up to `most` for each key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._instants: OrderedDict[str, deque[datetime]] = OrderedDict()

    def count(self, key: str, at: datetime) -> int:
        """How often it was noted in the hour up to `at`."""
        return sum(at - SPAN < instant <= at for instant in self._instants.get(key, ()))

    def note(self, key: str, at: datetime) -> None:
        """It happened then. Beyond MAX_KEYS the key that was quiet longest is forgotten."""
        self._instants.setdefault(key, deque(maxlen=self._most)).append(at)
        self._instants.move_to_end(key)
        if len(self._instants) > MAX_KEYS:
            self._instants.popitem(last=False)
