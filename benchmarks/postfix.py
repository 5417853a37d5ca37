"""Postfix's load tools, smtp-source and smtp-sink, unpacked from Debian's package into the var folder; nothing is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class ToolsMissing(RuntimeError):
    """The tools cannot be had; the message says what to do."""


def tools(folder: Path) -> tuple[Path, dict[str, str]]:
    """The folder of the programs, and the environment that they need. Raises ToolsMissing."""
    unpacked = folder / "postfix"
    programs = unpacked / "usr" / "sbin"
    if not (programs / "smtp-source").exists():
        _fetch(folder, unpacked)
    return programs, {**os.environ, "LD_LIBRARY_PATH": str(unpacked / "usr" / "lib" / "postfix")}


def _fetch(folder: Path, unpacked: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "-qq", "download", "postfix"], cwd=folder, check=True, capture_output=True, timeout=300)
        package = max(folder.glob("postfix_*.deb"))
        subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True, capture_output=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ToolsMissing(f"cannot fetch Debian's postfix package ({error}); on Debian run `apt-get update` first") from error
