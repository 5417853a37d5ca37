"""Whether a worker's partitions are surely still its own.

The group's coordinator gives them to nobody else before a session timeout has passed since the last heartbeat that it took.
A worker that was frozen, or cut off, sees that here before it hears it from the group; and once a rebalance has
begun it has the rest of that time to begin what it holds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from streams.window import stop_the_world

LOST_S = 240.0  # above the rebalance timeout (app.py), in which a member rightly hears nothing
LOOK_S = 5.0
SAYS_ALIVE = frozenset({"HeartbeatRequest", "SyncGroupRequest"})  # what restarts the coordinator's clock


class Membership:
    """`heard` is called in the consumer's thread, `sure` in the agent's."""

    def __init__(self, session_timeout_s: float) -> None:
        self._session_timeout_s = session_timeout_s
        self._until = 0.0
        self._end = float("inf")

    @property
    def sure(self) -> bool:
        """True while no other worker can have been given this one's partitions."""
        return time.monotonic() < min(self._until, self._end)

    @property
    def lost(self) -> bool:
        """True if the group has not heard of this worker for so long that it will not again, though nobody told it to leave."""
        return time.monotonic() > self._until + LOST_S and self._end == float("inf")

    def heard(self, asked_at: float) -> None:
        """The coordinator took a request that was sent at `asked_at` (monotonic seconds)."""
        self._until = asked_at + self._session_timeout_s

    def end_within(self, grace_s: float) -> None:
        """This worker leaves: nothing new may be begun after `grace_s`."""
        self._end = time.monotonic() + grace_s

    def guard(self, on_lost: Callable[[str], Any] = stop_the_world) -> None:
        """From now on a lost membership ends the process, to be started anew.

        Faust may wait without end for records of a session that is over (seen after a broker was gone for 40 s), and then it
        never joins again: nothing is lost, and nothing goes on.
        """
        self._until = time.monotonic()
        threading.Thread(target=self._guard, args=(on_lost,), name="membership", daemon=True).start()

    def _guard(self, on_lost: Callable[[str], Any]) -> None:
        while not self.lost:
            time.sleep(LOOK_S)
        on_lost(f"the group has not heard of this worker for {LOST_S:.0f} s")

    def listen(self, consumer: Any) -> None:
        """Hear every answer that the coordinator gives to a started AIOKafkaConsumer."""
        coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka, whose version is pinned, tells nobody of its heartbeats
        ask = coordinator._send_req  # noqa: SLF001

        async def asked(request: Any) -> Any:
            asked_at = time.monotonic()
            answer = await ask(request)
            if type(request).__name__ in SAYS_ALIVE and answer.error_code == 0:
                self.heard(asked_at)
            return answer

        coordinator._send_req = asked  # noqa: SLF001
