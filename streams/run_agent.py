"""`python -m streams.run_agent NAME`: one agent as a process; cli/worker.py starts these."""

from __future__ import annotations

import os
import sys

from streams import worker
from streams.settings import Settings


def main(name: str) -> None:
    """Never returns: the agent ends the process."""
    worker.run(Settings.from_env(os.environ), name)


if __name__ == "__main__":
    main(sys.argv[1])
