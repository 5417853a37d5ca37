"""Waiting for something to become true, with a deadline and never longer than it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

POLL_S = 0.05
T = TypeVar("T")


def until(ask: Callable[[], T], what: str, deadline_s: float = 30.0) -> T:
    """The first true answer of `ask`. Fails the test, naming `what`, after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while not (answer := ask()):
        assert time.monotonic() < end, f"still not so after {deadline_s:.0f} s: {what}"
        threading.Event().wait(POLL_S)
    return answer
