"""A real agent (odd_agent.py) whose group coordinator answers with an error that a broker on its way up, or in trouble, may give.

`python -m tests.services.unlucky_agent NAME TOPIC FOLDER`: while FOLDER/fault holds "REQUEST CODE", that request is answered with
that Kafka error code. While FOLDER/keep exists, Faust has a record in its books that nobody will ever acknowledge.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.transport.consumer import Consumer

from streams import membership
from tests.services import odd_agent

membership.STUCK_S = 3.0


class Kept:
    """As a record of Faust's that is neither acknowledged nor let go of."""

    acked = False
    refcount = 1


def main(name: str, topic: str, folder: str) -> None:
    ask, wait_empty, kept = GroupCoordinator._send_req, Consumer.wait_empty, Kept()

    async def asked(self: Any, request: Any) -> Any:
        said = _said(Path(folder) / "fault")
        answer = await ask(self, request)
        if type(request).__name__ == said[0]:
            return SimpleNamespace(error_code=int(said[1]))
        return answer

    async def waiting(self: Any) -> None:
        if (Path(folder) / "keep").exists():
            self._unacked_messages.add(kept)
        await wait_empty(self)

    GroupCoordinator._send_req = asked
    Consumer.wait_empty = waiting  # type: ignore[method-assign]
    odd_agent.main(name, topic, folder)


def _said(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").split() if path.exists() else ["", ""]


if __name__ == "__main__":
    main(*sys.argv[1:])
