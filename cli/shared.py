"""What commands share: the settings of this process, and answers as JSON lines."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from streams.settings import Settings


def settings() -> Settings:
    """From the environment. Raises SettingsError."""
    return Settings.from_env(os.environ)


def until_stopped(look: Callable[[], None], every_s: float = 0.5) -> None:
    """Call `look` again and again until Ctrl-C or SIGTERM (see `heed_sigterm`). Raises what `look` raises."""
    try:
        while True:
            look()
            time.sleep(every_s)
    except KeyboardInterrupt:
        return


def heed_sigterm() -> None:
    """From now on SIGTERM unwinds this process as Ctrl-C does: what was started is stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def instant(option: str, text: str) -> datetime:
    """An instant from the command line. Raises UsageError for anything else, or one without a zone."""
    from streams.errors import UsageError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} takes an instant like 2026-11-20T10:00:00Z, not {text!r}") from None
    if found.tzinfo is None:
        raise UsageError(f"{option} {text} says no zone; put Z behind it for UTC")
    return found


def print_json(value: Any) -> None:
    """One line on stdout: UTF-8 whatever the terminal's locale."""
    sys.stdout.buffer.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
    sys.stdout.buffer.flush()
