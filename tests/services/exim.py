"""Debian's Exim, run from deploy/exim in a folder of its own, as the tests' MTA: both sides of espmail.

Mail for the sites goes to the gateway; all other mail is kept in Maildirs.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.services.install import ensure
from tests.services.ports import HOST, free_ports
from tests.services.until import until

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "deploy" / "exim" / "espmail.conf"
EXIM = "/usr/sbin/exim4"
USER = "Debian-exim"
START_S = 30
PARTS_OF_MAILGATE = (
    "cli/__init__.py",
    "cli/main.py",
    "cli/mailgate.py",
    "streams/__init__.py",
    "streams/errors.py",
    "streams/settings.py",
)


class Exim:
    """An MTA on a free port of loopback. `remove()` ends it and its folder."""

    def __init__(self, sites: Sequence[str], gateway: int | Path | Mapping[str, str], *, queue_run_s: int = 1) -> None:
        """Mail for `sites` goes to the gateway: LMTP at a port or a socket, or mailgate in a pipe with these variables."""
        ensure(["exim4-daemon-light", "python3"])
        self.port = free_ports()
        self._queue_run_s = queue_run_s
        self._process: subprocess.Popen[bytes] | None = None
        # Not pytest's folder: Exim gives up root, and that one is closed to its user.
        self.folder = Path(tempfile.mkdtemp(prefix="espmail-exim-"))
        self.folder.chmod(0o755)
        for name in ("spool", "log", "maildirs"):
            self._make_folder(self.folder / name)
        self._config = self.folder / "exim.conf"
        self._config.write_text(self._text(sites, gateway), encoding="utf-8")

    @property
    def maildirs(self) -> Path:
        """A Maildir per recipient that was expected, in lower case, and one named "unexpected"."""
        return self.folder / "maildirs"

    @property
    def mainlog(self) -> Path:
        return self.folder / "log" / "mainlog"

    def expect(self, recipients: Sequence[str]) -> None:
        """Each of these addresses has a Maildir from now on."""
        for recipient in recipients:
            self._make_folder(self.maildirs / recipient.lower())

    def captured(self) -> dict[str, list[bytes]]:
        """The mails kept so far, as they came (CRLF), by recipient; "unexpected" for those whom nobody expected."""
        return {
            folder.name: mails
            for folder in sorted(self.maildirs.iterdir())
            if (mails := [path.read_bytes() for path in sorted((folder / "new").glob("*"))])
        }

    def queued(self) -> int:
        """How many mails wait in the spool."""
        asked = subprocess.run([EXIM, "-C", self._config, "-bpc"], capture_output=True, text=True, check=True)
        return int(asked.stdout)

    def start(self) -> Self:
        """Returns when it greets."""
        command = [EXIM, "-C", str(self._config), "-bdf", f"-q{self._queue_run_s}s"]
        with (self.folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True)
        until(self._greets, f"Exim greets; {(self.folder / 'stderr').read_text()}", START_S)
        return self

    def stop(self) -> None:
        """End the daemon and the deliveries under way; what is queued stays. May be repeated."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(START_S)
        self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _greets(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "stderr").read_text()
        try:
            with socket.create_connection((HOST, self.port), 5) as connection:
                return connection.recv(4) == b"220 "
        except OSError:
            return False

    def _text(self, sites: Sequence[str], gateway: int | Path | Mapping[str, str]) -> str:
        user, group = _identity()
        macros: dict[str, object] = {
            "FOLDER": self.folder,
            "USER": user,
            "GROUP": group,
            "HOSTNAME": "mta.test",
            "INTERFACES": HOST,
            "PORT": self.port,
            "DOMAINS": " : ".join(sites),
            "RETRY": f"F,1h,{self._queue_run_s}s",
            "CAPTURE": self.maildirs,
        }
        if isinstance(gateway, Mapping):
            macros["GATEWAY_PIPE"] = self._mailgate()
            macros["PIPE_ENVIRONMENT"] = ":".join(f"{name}={value}" for name, value in gateway.items())
        else:
            macros["GATEWAY_PORT" if isinstance(gateway, int) else "GATEWAY_SOCKET"] = gateway
        return "".join(f"ESPMAIL_{name} = {value}\n" for name, value in macros.items()) + f".include {self._readable(CONFIG)}\n"

    def _mailgate(self) -> Path:
        """A command `espmail` that Exim's user may run: the checkout and its Python may be closed to it."""
        for part in PARTS_OF_MAILGATE:
            (self.folder / part).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / part, self.folder / part)
        python = "/usr/bin/python3" if os.geteuid() == 0 else sys.executable
        command = self.folder / "espmail"
        command.write_text(f'#!/bin/sh\nPYTHONPATH={self.folder} exec {python} -B -m cli.main "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        return command

    def _readable(self, path: Path) -> Path:
        return Path(shutil.copy(path, self.folder / path.name))

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)


def _identity() -> tuple[str, str]:
    """Whom Exim runs as: its own user if we are root, otherwise us, because then it cannot change."""
    if os.geteuid() == 0:
        return USER, USER
    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
