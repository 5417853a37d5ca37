"""Debian packages that tests need, installed by the test run itself: tests never skip for want of a server."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

TIMEOUT_S = 600
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={TIMEOUT_S}")


def ensure(packages: Sequence[str]) -> None:
    """Install those that are missing, as root or by `sudo -n`; otherwise end the test run with the command to run by hand."""
    with _alone():
        if missing := [package for package in packages if not installed(package)]:
            _install(missing)


@contextmanager
def _alone() -> Iterator[None]:
    """One process of the machine's test runs at a time: apt-get update waits for nobody, it fails."""
    with (Path(tempfile.gettempdir()) / "espmail-tests.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(missing: Sequence[str]) -> None:
    become_root = root()
    if become_root is None:
        pytest.exit(f"tests need Debian packages and may not install them; run: sudo apt-get install {' '.join(missing)}", returncode=3)
    _run([*become_root, *APT, "update"])
    _run([*become_root, *APT, "install", "--no-install-recommends", *missing])


def installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        pytest.exit(f"tests need the Debian package {package}, and this is no Debian; run them on Debian 12", returncode=3)
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True, check=False)
    return asked.stdout == "install ok installed"


def root() -> list[str] | None:
    """The prefix that runs a command as root without asking anybody; None if there is none."""
    if os.geteuid() == 0:
        return []
    may = shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    return ["sudo", "-n"] if may else None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        pytest.exit(f"{' '.join(command)} failed: {last[0]}", returncode=3)
