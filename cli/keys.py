"""`espmail keys`: the secrets that sign unsubscribe links."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import shared

app = typer.Typer()


@app.callback()
def keys() -> None:
    """The secrets that sign unsubscribe links, kept in the var folder."""


@app.command()
def rotate(
    keep: Annotated[int, typer.Option(min=2, help="How many secrets stay good, the new one included; links of older ones die.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Sign unsubscribe links with a new secret from now on. Links in mail that was sent stay good while their secret is kept.

    Processes that run keep the secrets that they have read: restart the web gateway first, then the workers.

    Example: espmail keys rotate
    """
    from gateway.keys import rotate as rotated

    kept = len(rotated(shared.settings().var, keep).secrets)
    if as_json:
        shared.print_json({"outcome": "rotated", "secrets": kept})
    else:
        typer.echo(f"rotated: {kept} secrets are good; now restart `espmail web`, then `espmail worker` (or `espmail up`, which is both)")
