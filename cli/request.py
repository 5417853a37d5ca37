"""`espmail request`: message requests, from a JSON document to what becomes of each recipient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import request_preview, request_submit
from cli.request_submit import Recipients

app = typer.Typer()
request_submit.add_to(app)
request_preview.add_to(app)


@app.callback()
def request() -> None:
    """Submit, follow, cancel, preview or dry-run a message request."""


@app.command("dry-run")
def dry_run(
    document: Annotated[
        Path,
        typer.Argument(help="The request; - reads it from stdin.", metavar="REQUEST.json"),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")] = False,
    recipients: Recipients = None,
    now: Annotated[
        str | None,
        typer.Option(help="Instant to decide at, as 2026-11-20T10:00:00Z.", metavar="INSTANT"),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another version: what it names replaces the request's. May be repeated.",
            metavar="OTHER.json",
        ),
    ] = None,
) -> None:
    """Show what each recipient would get, and who would get nothing and why. Needs no broker and sends nothing.

    With --against, show instead whose mail would differ. Exits 1 if the request would be refused, 2 if a file or an option
    cannot be read.
    """
    from cli.request_dry_run import answer, compare
    from cli.request_io import read_stdin_once
    from streams.errors import UsageError

    read_stdin_once(document, recipients, *(against or ()))
    if not against:
        raise typer.Exit(answer(document, recipients, now, as_json=as_json))
    if recipients is not None:
        raise UsageError("--against compares every mail, so the recipients must be in the document: leave --recipients out")
    raise typer.Exit(compare(document, against, now, as_json=as_json))
