"""Settings as the environment of a child process."""

from __future__ import annotations

import os

from streams.settings import Settings


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """This process's environment with these settings and no others; Settings.from_env reads equal settings from it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ESPMAIL_")}
    return {**own, **settings.as_environment(), **more}
