"""`espmail bodies`: the body store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cli import shared

app = typer.Typer()


@app.callback()
def bodies() -> None:
    """The body store, where big mails and attachments are kept."""


@app.command()
def sweep(
    older_than: Annotated[
        int, typer.Option("--older-than", min=1, max=36_500, help="Days since a body was put last; younger ones stay.")
    ] = 7,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it, only say what would be removed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Remove bodies that no record names: what a crash left, and what is older than the records that named it.

    Reads every topic, so it takes a while; everything may run meanwhile. It may be stopped and run again at any time.
    The store must be this installation's alone: another's records are not asked.

    Examples: espmail bodies sweep; espmail bodies sweep --older-than 60 --yes
    """
    from gateway.bodies_sweep import sweep as removed
    from gateway.bodies_sweep import unnamed
    from gateway.body_store import open_bodies
    from streams import admin

    settings = shared.settings()
    admin.require(settings)
    store = open_bodies(settings)
    before = datetime.now(UTC) - timedelta(days=older_than)
    found = unnamed(settings, store, before)
    gone = removed(store, found, before) if yes else []
    size = sum(kept.size for kept in (gone if yes else found))
    if as_json:
        shared.print_json({"unnamed": len(found), "removed": len(gone), "bytes": size})
    elif yes:
        typer.echo(f"removed {len(gone)} bodies of {size:,} bytes")
    else:
        typer.echo(f"{len(found)} bodies of {size:,} bytes are named by no record; `espmail bodies sweep --yes` removes them")
