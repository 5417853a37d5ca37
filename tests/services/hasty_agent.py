"""A real agent that is given three seconds to stop: `python -m tests.services.hasty_agent NAME`."""

from __future__ import annotations

import os
import sys

from streams import worker
from streams.settings import Settings

if __name__ == "__main__":
    worker.STOP_GRACE_S, worker.STOP_DEADLINE_S = 1.0, 3.0
    worker.run(Settings.from_env(os.environ), sys.argv[1])
