"""Everything of one installation on one machine: the broker if none is named, the agents, the gateways and the projector."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.broker import Broker
from deploy.supervisor import EXIT_CONFIG, Child, Supervisor
from streams import admin
from streams.errors import UserError
from streams.reads import NAMES
from streams.settings import Settings

READY_S = 240.0  # a busy machine needs minutes for a dozen Pythons; a part that cannot start ends, and is named at once
LOOK_S = 0.1
RESTARTS_AT_START = 3
EXITS_FOR_GOOD = (1, 2, EXIT_CONFIG)  # at the start: a command that says so will say so again
SAYS_WHEN_READY = {"gateway": "gateway: ", "project": "folding ", "web": "web: "}
STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Stack:
    """An installation that runs."""

    settings: Settings
    supervisor: Supervisor
    broker: Broker | None

    def look(self) -> None:
        """Start again what has ended. Raises UserError if that cannot help. Call it now and then, from the main thread."""
        if self.broker is not None:
            self.broker.check()
        if ended := self.supervisor.look():
            raise UserError(f"{', '.join(ended)} cannot run; the reason stands in {self.settings.var / 'log'}")


def children(settings: Settings, more: Sequence[Child] = ()) -> list[Child]:
    """The processes of an installation; what each says goes to its file in var/log."""
    agents = [Child(name, ["streams.run_agent", name], log_of(settings, name)) for name in NAMES]
    others = [Child(name, ["cli.main", name], log_of(settings, name)) for name in services(settings)]
    return [*more, *agents, *others]


def services(settings: Settings) -> dict[str, str]:
    """The commands that run beside the agents, and how each begins to say that it can work."""
    return {name: sign for name, sign in SAYS_WHEN_READY.items() if name != "web" or settings.web_port}


@contextlib.contextmanager
def running(settings: Settings, say: Callable[[str], None], more: Sequence[Child] = ()) -> Iterator[Stack]:
    """The whole installation, ready for work, until the `with` ends. Raises UserError, and then nothing stays behind."""
    with contextlib.ExitStack() as stack:
        broker = None
        if not settings.kafka:
            say("starting Kafka")
            broker = stack.enter_context(Broker(settings))
        say("making the topics match")
        admin.apply(settings)
        say("starting agents, gateway and projector")
        supervisor = Supervisor(children(settings, more), settings.as_environment())
        _forget_last_run(settings, supervisor)
        stack.callback(supervisor.stop, STOP_S)
        supervisor.start()
        wait_ready(settings, supervisor)
        yield Stack(settings, supervisor, broker)


def wait_ready(settings: Settings, supervisor: Supervisor) -> None:
    """Blocks until everything can work. Raises UserError with what the part that cannot says."""
    until = time.monotonic() + READY_S
    while missing := not_ready(settings):
        failed = next((child.name for child in supervisor.children if _gave_up(child)), None)
        if failed is not None:
            said = lines_of(settings, failed)[-1:] or ["it said nothing"]
            raise UserError(f"{failed} does not start: {said[0].removeprefix('espmail: ')} (its log is {log_of(settings, failed)})")
        if time.monotonic() > until:
            raise UserError(
                f"not ready after {READY_S:g} s: {', '.join(missing)}; if this machine is busy, start again when it is less so,"
                f" else see their logs in {settings.var / 'log'}"
            )
        supervisor.look()
        time.sleep(LOOK_S)


def not_ready(settings: Settings) -> list[str]:
    """The parts that cannot work yet: agents write a file when they can, services a line."""
    agents = [name for name in NAMES if name != "delay" and not ready_file(settings, name).exists()]
    silent = [name for name, sign in services(settings).items() if not any(line.startswith(sign) for line in lines_of(settings, name))]
    return agents + silent


def ready_file(settings: Settings, name: str) -> Path:
    """What the agent writes when it can work."""
    return settings.var / "run" / f"{name}.ready"


def log_of(settings: Settings, name: str) -> Path:
    """What the part of this name says; that of the run before is beside it, .previous."""
    return settings.var / "log" / f"{name}.log"


def lines_of(settings: Settings, name: str) -> list[str]:
    """What it has said in this run."""
    path = log_of(settings, name)
    return path.read_text(errors="replace").strip().splitlines() if path.exists() else []


def _gave_up(child: Child) -> bool:
    ended = child.process.poll() if child.process else None
    return ended in EXITS_FOR_GOOD or child.restarts > RESTARTS_AT_START


def _forget_last_run(settings: Settings, supervisor: Supervisor) -> None:
    """What an earlier run left must not look like this one's."""
    for name in NAMES:
        ready_file(settings, name).unlink(missing_ok=True)
    for child in supervisor.children:
        if child.output is not None and child.output.exists():
            child.output.replace(child.output.with_suffix(".log.previous"))
