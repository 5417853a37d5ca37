"""A PostgreSQL 15 of the tests' own: Debian's programs, a private cluster in a temporary folder, a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from tests.services.install import ensure
from tests.services.ports import HOST, free_ports

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
TIMEOUT_S = 60


class Postgres:
    """A server with its databases. `start()` may follow `stop()` or `crash()`; `remove()` ends it for good."""

    def __init__(self, *options: str) -> None:
        """`options` are server settings, as name=value; without any it survives `crash()`, not a power cut."""
        ensure(["postgresql-15"])
        self.port = free_ports()
        self._options = options or ("fsync=off", "full_page_writes=off")
        self._folder = Path(tempfile.mkdtemp(prefix="espmail-postgres-"))
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "--username=espmail", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")

    def start(self) -> Self:
        """Returns when it answers."""
        options = [
            f"-c {option}" for option in ("listen_addresses=" + HOST, f"port={self.port}", "unix_socket_directories=''", *self._options)
        ]
        self._run("pg_ctl", "start", "--wait", f"--log={self._folder / 'log'}", f"--options={' '.join(options)}")
        return self

    def stop(self) -> None:
        """Clients are cut off, everything is written."""
        self._run("pg_ctl", "stop", "--wait", "--mode=fast")

    def crash(self) -> None:
        """As if its processes were killed: the next start recovers."""
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def remove(self) -> None:
        subprocess.run(self._command("pg_ctl", "stop", "--wait", "--mode=immediate"), capture_output=True, timeout=TIMEOUT_S, check=False)
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """The SQLAlchemy URL of an empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(host=HOST, port=self.port, user="espmail", dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://espmail@{HOST}:{self.port}/{name}"

    def _command(self, program: str, *arguments: str) -> list[str]:
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        return [*become, str(PROGRAMS / program), f"--pgdata={self._folder / 'data'}", *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
