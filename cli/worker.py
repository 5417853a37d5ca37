"""`espmail worker`: the agents, each a process of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import shared

LOOK_S = 0.2


def command(
    agents: Annotated[str, typer.Option(help="which agents, with commas; all of them if not said")] = "",
) -> None:
    """Run agents until SIGTERM or Ctrl-C: expand, expand.bulk, route, send.urgent, send.bulk, feedback, delay.

    Each agent is a process and a consumer group of its own; more workers on more machines share the partitions.
    Stopping finishes what is in work. kill -9 loses nothing: the mails that were at the MTA are listed as doubts.

    Examples: espmail worker; espmail worker --agents send.bulk
    """
    from deploy.supervisor import Child, Supervisor
    from streams import admin
    from streams.errors import UserError

    names = chosen(agents)
    admin.require(shared.settings())  # what is wrong is said once here, not by every child
    shared.heed_sigterm()
    supervisor = Supervisor([Child(name, ["streams.run_agent", name]) for name in names])

    def look() -> None:
        if ended := supervisor.look():
            raise UserError(f"{', '.join(ended)} cannot run here; the reason stands above")

    try:
        supervisor.start()
        shared.until_stopped(look, LOOK_S)
    finally:
        supervisor.stop()


def chosen(agents: str) -> list[str]:
    """The agents named, or all. Raises UsageError for a name that there is not."""
    from streams.errors import UsageError
    from streams.reads import NAMES

    names = [name.strip() for name in agents.split(",") if name.strip()] or list(NAMES)
    for name in names:
        if name not in NAMES:
            raise UsageError(f"there is no agent {name!r}; there are {', '.join(NAMES)}")
    return names
