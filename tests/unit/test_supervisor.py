"""Children of one process: started again, given up, stopped, and never left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import stack
from deploy.supervisor import Child, Supervisor
from streams.errors import UserError
from streams.settings import Settings
from tests.conftest import ROOT
from tests.services.until import until

EXITS = "tests.services.exits"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("code", ["0", "1", "70"])
def test_a_child_that_ends_is_started_again(code: str) -> None:
    child = Child("ends", [EXITS, code])
    supervisor = Supervisor([child])
    supervisor.start()
    assert until(lambda: not supervisor.look() and child.restarts >= 1, "it was started again")
    assert child.pause_s > 0.5  # the next time it waits longer: it has not lived for long
    supervisor.stop()


def test_a_child_that_cannot_run_here_is_given_up() -> None:
    """Exit 78: starting it again cannot help, and the others run on."""
    other = Child("other", [EXITS, "0"])
    supervisor = Supervisor([Child("misconfigured", [EXITS, "78"]), other])
    supervisor.start()
    assert until(supervisor.look, "one is given up") == ["misconfigured"]
    until(lambda: supervisor.look() and other.restarts >= 1, "the other is started again")
    supervisor.stop()


def test_stopped_they_are_gone(tmp_path: Path) -> None:
    child = Child("stays", [EXITS, "stays", str(tmp_path / "pid")], tmp_path / "log" / "stays.log")
    supervisor = Supervisor([child])
    supervisor.start()
    until((tmp_path / "pid").exists, "it runs")
    assert child.running
    supervisor.stop()
    supervisor.stop()
    assert not child.running


def test_they_end_with_their_parent(tmp_path: Path) -> None:
    """kill -9 of the parent leaves nothing behind."""
    code = f"""
import signal
from deploy.supervisor import Child, Supervisor
Supervisor([Child("stays", ["{EXITS}", "stays", "{tmp_path / "pid"}"])]).start()
signal.pause()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the child runs"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert until(lambda: not alive(pid), "the child ended")


def test_a_part_that_is_only_slow_is_not_said_to_have_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine: nothing has ended, so which parts are missing is all that can be said."""
    monkeypatch.setattr(stack, "READY_S", 0.2)
    settings = Settings(var=tmp_path, web_port=0)
    with pytest.raises(UserError, match=r"^not ready after 0.2 s: expand, .*gateway, project; if this machine is busy") as refused:
        stack.wait_ready(settings, Supervisor([]))
    assert str(tmp_path / "log") in str(refused.value)
