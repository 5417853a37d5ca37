"""`espmail topics plan|apply`: a cluster's topics beside schemas/topics.yaml."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli import shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.topic_plan import Change

app = typer.Typer(epilog="Example: ESPMAIL_KAFKA=kafka1:9092 ESPMAIL_REPLICATION=3 espmail topics plan")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
MARKS = {"create": "+", "alter": "~", "refuse": "!"}


@app.command()
def plan(*, as_json: AsJson = False) -> None:
    """Show what `apply` would do. Exits 1 if it would refuse."""
    from streams import admin

    changes = admin.changes(shared.settings())
    _show(changes, as_json=as_json, none="every topic is as declared")
    if any(change.verdict == "refuse" for change in changes):
        raise typer.Exit(1)


@app.command()
def apply(*, as_json: AsJson = False) -> None:
    """Create what is missing and change what is safe; change nothing and exit 1 if keys would break or events be lost."""
    from streams import admin

    _show(admin.apply(shared.settings()), as_json=as_json, none="nothing to do: every topic is as declared")


def _show(changes: Sequence[Change], *, as_json: bool, none: str) -> None:
    if as_json:
        for change in changes:
            shared.print_json(asdict(change))
        return
    for change in changes:
        typer.echo(_line(change))
    if not changes:
        typer.echo(none)


def _line(change: Change) -> str:
    values = f"{change.found} -> {change.wanted}" if change.found else change.wanted
    return f"{MARKS[change.verdict]} {change.topic}: {change.setting} {values}" + (f"; {change.do}" if change.do else "")
