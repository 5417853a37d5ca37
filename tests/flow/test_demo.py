"""`espmail demo` as a newcomer runs it, in a folder of its own with a broker of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.conftest import JARS
from tests.services.env import environment
from tests.services.leftovers import running_in
from tests.services.until import until

RUN_S = 200  # on a busy machine; ten seconds on an idle one
READY = "answered 250"


class Terminal:
    """Runs of `espmail demo` in one var folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = environment(Settings(var=folder / "var", jars=str(JARS)), PYTHONUNBUFFERED="1", COLUMNS="80")

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        with (self._folder / "out").open("wb") as out, (self._folder / "err").open("wb") as err:
            command = [sys.executable, "-m", "cli.main", "demo", *options]
            return subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def run(self, *options: str) -> tuple[int, str]:
        """The exit code of a run that ends by itself, and what it printed."""
        process = self.start(*options)
        try:
            return process.wait(RUN_S), self.said
        finally:
            process.kill()
            process.wait()

    @property
    def said(self) -> str:
        return (self._folder / "out").read_text("utf-8") + (self._folder / "err").read_text("utf-8")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """In the end nothing may still run, also of the run that was killed: its parts have 45 seconds to give up."""
    folder = tmp_path_factory.mktemp("demo")
    yield Terminal(folder)
    until(lambda: not running_in(folder), f"everything has ended: {running_in(folder)}", 60)


def adds_up(said: str) -> bool:
    """Everything that the sample holds, and what it must come to (deploy/sample.py)."""
    return "by status: 4 skipped, 372 sent" in said and "376 recipients" in said and "13 recipients" in said


@pytest.mark.timeout(500)
def test_it_shows_what_each_recipient_got_and_stays_until_it_is_told_to_stop(terminal: Terminal) -> None:
    process = terminal.start()
    try:
        until(lambda: "stays up until Ctrl-C" in terminal.said, "the demo is done", RUN_S)
        assert adds_up(terminal.said), terminal.said
        found = re.search(r"as the MTA took it: (.*)", terminal.said)
        assert found is not None
        assert len(list(Path(found[1]).glob("*/new/*"))) == 372 + 13
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(500)
def test_killed_at_work_it_runs_again_in_the_same_folder_and_ends_when_told_once(terminal: Terminal) -> None:
    """kill -9: the broker and all parts lose their parent with it."""
    process = terminal.start()
    try:
        until(lambda: READY in terminal.said, "the demo is at work", RUN_S)
    finally:
        process.kill()
        process.wait()
    code, said = terminal.run("--once")
    assert (code, adds_up(said)) == (0, True), said
