"""Whether a worker's partitions are surely still its own, and whether it can ever come back once they are not.

The group's coordinator gives them to nobody else before a session timeout has passed since the last heartbeat that it took.
A worker that was frozen, or cut off, sees that here before it hears it from the group; and once a rebalance has
begun it has the rest of that time to begin what it holds. What ends the process, and why: docs/decisions/0003.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from streams.window import stop_the_world

LOST_S = 240.0  # above the rebalance timeout (app.py), in which a member rightly hears nothing
STUCK_S = 15.0  # how long it may seem stuck: many times what a rejoining takes whose members have nothing in work
LOOK_S = 1.0
REACH_S = 1.0
SAYS_ALIVE = frozenset({"HeartbeatRequest", "SyncGroupRequest"})  # what restarts the coordinator's clock
JOINS = frozenset({"JoinGroupRequest", "SyncGroupRequest"})  # what the coordinator answers when all members have come

OnLost = Callable[[str], Any]


def clock() -> float:
    """Seconds that also pass while this machine sleeps, where the system counts those (Linux): the group's coordinator does not sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Membership:
    """`heard` is called in the consumer's thread, `sure` in the agent's.

    `busy` says whether the agent has records in work, `flows` whether it would be given more.
    """

    def __init__(self, session_timeout_s: float) -> None:
        self.busy: Callable[[], bool] = lambda: False
        self.flows: Callable[[], bool] = lambda: True
        self._session_timeout_s = session_timeout_s
        self._until = 0.0
        self._end = float("inf")
        self._heard = False
        self._joining = 0

    @property
    def sure(self) -> bool:
        """True while no other worker can have been given this one's partitions."""
        return clock() < min(self._until, self._end)

    @property
    def lost(self) -> bool:
        """True if the group has not heard of this worker for so long that it will not again, though nobody told it to leave."""
        return clock() > self._until + LOST_S and not self.leaving

    @property
    def stuck(self) -> bool:
        """True if a member neither joins nor has anything in work that it would have to wait for, but its session is over, or nothing flows."""
        idle = self._heard and not self._joining and not self.busy()
        return idle and (clock() > self._until or not self.flows()) and not self.leaving

    @property
    def leaving(self) -> bool:
        """True from when it was told to end."""
        return self._end != float("inf")

    def heard(self, asked_at: float) -> None:
        """The coordinator took a request that was sent at `asked_at` (seconds of `clock`)."""
        self._until = asked_at + self._session_timeout_s
        self._heard = True

    def end_within(self, grace_s: float) -> None:
        """This worker leaves: nothing new may be begun after `grace_s`."""
        self._end = clock() + grace_s

    def guard(self, servers: str, on_lost: OnLost = stop_the_world) -> None:
        """From now on a lost membership ends the process, to be started anew; a stuck one does if one of `servers` takes connections.

        `servers`: host:port, several with commas.
        """
        self._until = clock()
        threading.Thread(target=self._guard, args=(servers, on_lost), name="membership", daemon=True).start()

    def _guard(self, servers: str, on_lost: OnLost) -> None:
        stuck_s = 0.0
        while not self.lost and stuck_s < STUCK_S:
            time.sleep(LOOK_S)  # counted in looks: a process that was frozen, and thaws, has not been looking
            stuck_s = stuck_s + LOOK_S if self.stuck and reachable(servers) else 0.0
        silence_s = clock() - self._until
        if silence_s > 0:
            on_lost(f"the group has not heard of this worker since its session ended {silence_s:.0f} s ago")
        else:
            on_lost("this worker is a member of its group, but takes no records")

    def listen(self, consumer: Any, on_lost: OnLost = stop_the_world) -> None:
        """Hear every answer that the coordinator gives to a started AIOKafkaConsumer, and end the process if that gives up.

        aiokafka hands an error that it does not expect to whoever polls next, and waits with all it does for the group until
        then. Faust never polls that way: the worker would look well, and never send a heartbeat again.
        """
        coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka, whose version is pinned, tells nobody of its heartbeats
        coordinator._send_req = self._hearing(coordinator._send_req)  # noqa: SLF001
        give_up = coordinator._push_error_to_user  # noqa: SLF001

        def gave_up(error: BaseException) -> Awaitable[Any]:
            self._gave_up(error, on_lost)
            waiting: Awaitable[Any] = give_up(error)
            return waiting

        coordinator._push_error_to_user = gave_up  # noqa: SLF001
        coordinator._coordination_task.add_done_callback(lambda task: self._ended(task, on_lost))  # noqa: SLF001

    def _hearing(self, ask: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def asked(request: Any) -> Any:
            name, asked_at = type(request).__name__, clock()
            self._joining += name in JOINS
            try:
                answer = await ask(request)
            finally:
                self._joining -= name in JOINS
            if name in SAYS_ALIVE and answer.error_code == 0:
                self.heard(asked_at)
            return answer

        return asked

    def _ended(self, task: asyncio.Task[None], on_lost: OnLost) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._gave_up(error, on_lost)

    def _gave_up(self, error: BaseException, on_lost: OnLost) -> None:
        if not self.leaving:
            on_lost(f"the consumer gave its group up: {error!r}")


def reachable(servers: str) -> bool:
    """True if one of them takes connections. Blocks, for at most REACH_S each."""
    for server in servers.split(","):
        host, _, port = server.rpartition(":")
        with suppress(OSError, ValueError):
            socket.create_connection((host, int(port)), REACH_S).close()
            return True
    return False
