"""`make chaos`: everything in this folder, also what is too long for `make test`: the files that begin with full_."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MINUTES_EACH = 15

if __name__ == "__main__":
    files = ["-o", "python_files=test_*.py full_*.py"]
    sys.exit(pytest.main(["-q", *files, f"--timeout={MINUTES_EACH * 60}", str(Path(__file__).parent)]))
