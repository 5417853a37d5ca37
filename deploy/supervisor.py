"""Child processes kept alive: one that ends is started again after a pause, all are stopped together.

The children are tied to this process (tether.py): they get SIGTERM when it dies, however it dies.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
ROOT = Path(__file__).parent.parent
EXIT_CONFIG = 78  # EX_CONFIG: starting again cannot help
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
HEALTHY_S = 60.0  # a child that lived this long earns the short pause again
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Child:
    """One process to keep alive: `python -m MODULE ARGUMENTS`; what it says goes to `output`."""

    name: str
    arguments: Sequence[str]
    output: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due: float = 0.0
    restarts: int = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Supervisor:
    """`start`, then `look` now and then, then `stop`. Use it from the main thread: the tie is to the thread that starts."""

    children: Sequence[Child]
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> None:
        for child in self.children:
            self._start(child)

    def look(self) -> list[str]:
        """Start again what has ended and may be; returns the names of those that gave up for good (exit 78)."""
        return [child.name for child in self.children if not child.running and not self._revive(child)]

    def stop(self, patience_s: float = 60.0) -> None:
        """SIGTERM to all, then SIGKILL to those that take longer. May be repeated."""
        living = [child.process for child in self.children if child.process is not None]
        for process in living:
            process.terminate()
        until = time.monotonic() + patience_s
        for process in living:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _revive(self, child: Child) -> bool:
        """False if the child says that starting it again cannot help."""
        code = child.process.poll() if child.process else None
        if code == EXIT_CONFIG:
            return False
        now = time.monotonic()
        if not child.due:
            child.pause_s = FIRST_PAUSE_S if now - child.started > HEALTHY_S else min(2 * child.pause_s, LONGEST_PAUSE_S)
            child.due = now + child.pause_s
            log.warning("%s ended with %s; starting it again in %.1f s", child.name, code, child.pause_s)
        if now >= child.due:
            child.restarts += 1
            self._start(child)
        return True

    def _start(self, child: Child) -> None:
        command = [sys.executable, str(TETHER), str(os.getpid()), sys.executable, "-m", *child.arguments]
        environment = {**os.environ, **self.environment}
        if child.output is None:
            child.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
        else:
            child.output.parent.mkdir(parents=True, exist_ok=True)
            with child.output.open("ab") as output:
                child.process = subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
                )
        child.started, child.due = time.monotonic(), 0.0
