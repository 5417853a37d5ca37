"""`espmail replay`: an agent reads its topics again from an earlier point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import shared

if TYPE_CHECKING:
    from streams.rewind import Rewind


def command(
    agent: Annotated[str, typer.Argument(help="The agent: expand, expand.bulk, route, send.urgent, send.bulk, feedback or delay.")],
    since: Annotated[str, typer.Option(help="From the records of this instant on, as 2026-11-20T10:00:00Z.", metavar="INSTANT")] = "",
    everything: Annotated[bool, typer.Option("--all", help="From the beginning of its topics.")] = False,
    yes: Annotated[bool, typer.Option(help="Do it. Without this, only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a partition.")] = False,
) -> None:
    """Move an agent back in its topics; what it makes of them again has the same ids, and no mail is sent twice.

    The agent must be stopped: a running one would go on from where it is.

    Examples: espmail replay route --since 2026-11-20T10:00:00Z; espmail replay route --since 2026-11-20T10:00:00Z --yes
    """
    from streams.errors import UsageError
    from streams.rewind import plan, rewind

    if everything == bool(since):
        raise UsageError("say either --since INSTANT or --all")
    rewinds = plan(shared.settings(), agent, None if everything else shared.instant("--since", since))
    if yes:
        rewind(shared.settings(), agent, rewinds)
    _show(rewinds, as_json=as_json, done=yes)


def _show(rewinds: list[Rewind], *, as_json: bool, done: bool) -> None:
    total = sum(one.records for one in rewinds)
    for one in rewinds:
        if as_json:
            shared.print_json({"topic": one.topic, "partition": one.partition, "from": one.to_offset, "records": one.records, "done": done})
        else:
            typer.echo(f"{one.topic}[{one.partition}]: again from offset {one.to_offset}: {one.records} records")
    if not as_json:
        typer.echo(
            f"{total} records will be read again"
            if done
            else f"{total} records would be read again; nothing was changed; add --yes to do it"
        )
