"""Real mail: the samples of CPython's own email tests, from the interpreter that runs or else from Debian's package of them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from tests.services.install import ensure

PACKAGE = "libpython3.11-testsuite"
INSTALLED = Path("/usr/lib/python3.11/test/test_email/data")
AT_LEAST = 47


@cache
def samples() -> dict[str, bytes]:
    """The content of each msg_*.txt by its name. Ends the test run if they are nowhere and cannot be installed."""
    found = _in(_of_this_interpreter())
    if len(found) < AT_LEAST:
        ensure([PACKAGE])
        found = _in(INSTALLED)
    assert len(found) >= AT_LEAST, f"{INSTALLED} should hold the samples of the Debian package {PACKAGE}"
    return found


def _of_this_interpreter() -> Path:
    try:
        return Path(str(files("test.test_email"))) / "data"
    except ModuleNotFoundError:  # Debian and slim images leave the tests out
        return INSTALLED


def _in(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("msg_*.txt"))}
