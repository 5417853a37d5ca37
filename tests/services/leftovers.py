"""Whether anything of an installation still runs, whoever its parent is now."""

from __future__ import annotations

from pathlib import Path

import psutil


def running_in(folder: Path) -> list[str]:
    """The command lines of processes that were started to work in a folder or below it."""
    return [line for process in psutil.process_iter() if (line := _line(process, str(folder)))]


def _line(process: psutil.Process, folder: str) -> str:
    """Its command line if that or its environment names the folder; else empty."""
    try:
        line = " ".join(process.cmdline())
        named = folder in line or process.environ().get("ESPMAIL_VAR", "").startswith(folder)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
    return line if named and process.status() != psutil.STATUS_ZOMBIE else ""
