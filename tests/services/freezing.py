"""Processes that stop for a while and know nothing of it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.services.until import until


def freeze(pid: int) -> None:
    """Returns when every thread of the process stands still: the signal alone lets those at work on another core go on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: _states(pid) == {"T"}, f"{pid} stands still")


def thaw(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    try:
        freeze(pid)
        yield
    finally:
        thaw(pid)


def _states(pid: int) -> set[str]:
    """The states of its threads, as proc(5) writes them behind the name in parentheses."""
    return {stat.rpartition(")")[2].split()[0] for stat in map(_stat, Path(f"/proc/{pid}/task").iterdir()) if stat}


def _stat(task: Path) -> str:
    try:
        return (task / "stat").read_text(encoding="utf-8")
    except OSError:  # it ended meanwhile
        return ""
