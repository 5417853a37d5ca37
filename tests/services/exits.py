"""`python -m tests.services.exits CODE`: ends with that code. `... stays FILE`: writes its pid there and stays until SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.argv[1] != "stays":
        sys.exit(int(sys.argv[1]))
    Path(sys.argv[2]).write_text(str(os.getpid()), encoding="ascii")
    signal.pause()
