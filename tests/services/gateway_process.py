"""`espmail gateway` as a process, and clients that hand mail in."""

from __future__ import annotations

import contextlib
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.settings import Settings
from tests.services.env import environment
from tests.services.gateway import LIST
from tests.services.ports import HOST
from tests.services.until import until

SENDER = "ann@x.org"
ENDS_S = 60


@dataclass
class Process:
    """A gateway process, and what it says."""

    settings: Settings
    log: Path
    module: Sequence[str] = ("cli.main", "gateway")
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it takes mail."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen([sys.executable, "-m", *self.module], env=environment(self.settings), stdout=log, stderr=log)
        until(self._greets, "the gateway greets")

    def kill(self) -> None:
        """As a crash would."""
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def stop(self) -> int:
        """As a person would; returns the exit code."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(ENDS_S)

    def ended(self) -> int:
        """The exit code of one that ends by itself."""
        assert self.child is not None
        return self.child.wait(ENDS_S)

    def _greets(self) -> bool:
        try:
            with socket.create_connection((HOST, self.settings.smtp_port), ENDS_S) as connection:
                return connection.recv(4) == b"220 "
        except OSError:
            return False


def hand_in(settings: Settings, content: bytes, *recipients: str) -> bool:
    """True if it was answered 250; a refusal or a broken connection before that is false."""
    accepted = False
    with contextlib.suppress(OSError, smtplib.SMTPException), smtplib.SMTP(HOST, settings.smtp_port, timeout=ENDS_S) as client:
        client.sendmail(SENDER, recipients or [LIST], content)
        accepted = True
    return accepted
