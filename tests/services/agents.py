"""Agents as real processes that a test may stop, freeze and kill."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.settings import Settings
from tests.conftest import ROOT
from tests.services.env import environment
from tests.services.freezing import freeze, thaw
from tests.services.until import until

START_S = 40.0
STOP_S = 60.0


@dataclass
class Agent:
    """One agent's process. `run_again` may follow any end."""

    settings: Settings
    name: str
    module: str = "streams.run_agent"
    arguments: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def run(self) -> Agent:
        """Returns when the process has started."""
        command = [sys.executable, "-m", self.module, self.name, *self.arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment(self.settings), stdin=subprocess.DEVNULL)
        return self

    def ready(self) -> Agent:
        """Returns when the agent can work, at once for the delay wheel, which has nothing to prepare."""
        if self.name == "delay":
            return self
        said = self.settings.var / "run" / f"{self.name}.ready"
        until(lambda: self.ended is not None or (said.exists() and said.read_text() == str(self.pid)), f"{self.name} is ready", START_S)
        assert self.ended is None, f"{self.name} ended with {self.ended}"
        return self

    @property
    def ended(self) -> int | None:
        """The exit code; none while it runs."""
        assert self.process is not None
        return self.process.poll()

    def end(self) -> int:
        """The exit code, when it has ended by itself."""
        assert self.process is not None
        return self.process.wait(STOP_S)

    def stop(self) -> tuple[int, float]:
        """SIGTERM; returns the exit code and the seconds that it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.end(), time.monotonic() - began

    def kill(self) -> None:
        """As a power cut would: nothing of it runs on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        freeze(self.pid)

    def thaw(self) -> None:
        thaw(self.pid)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextlib.contextmanager
def running(settings: Settings, name: str, module: str = "streams.run_agent", *arguments: str) -> Iterator[Agent]:
    """An agent that is ready, killed at the end if the test has not stopped it."""
    agent = Agent(settings, name, module, arguments)
    try:
        yield agent.run().ready()
    finally:
        agent.kill()
