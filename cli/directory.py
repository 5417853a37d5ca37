"""`espmail directory load`: sites, people, classes, redirects and email lists into their tables."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import shared

app = typer.Typer(epilog="Example: espmail directory load directory.json")


@app.callback()
def directory() -> None:
    """What inbound mail is routed by."""


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="The rows, in the form that `espmail inbound route` takes.", metavar="DIRECTORY.json")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Put every row of the file into its table, replacing rows of the same key; other rows stay. May be repeated.

    Exits 2 if the file cannot be used; then nothing is loaded.
    """
    from cli.inbound import read_directory
    from cli.publishing import publish
    from streams.domain.routing.document import DocumentError, rows
    from streams.errors import UsageError
    from streams.publisher import Record

    settings = shared.settings()
    document = read_directory(file)
    for warning in document.warnings:
        typer.echo(f"warning: {warning}", err=True)
    try:
        records = [Record.of(topic, key, row) for topic, key, row in rows(document, datetime.now(UTC))]
    except DocumentError as error:
        raise UsageError("\n".join(f"{file}: {problem}; nothing was loaded" for problem in error.problems)) from None
    publish(settings, records)
    counts = Counter(record.topic for record in records)
    if as_json:
        shared.print_json(counts)
    else:
        typer.echo("loaded " + ", ".join(f"{number} {topic}" for topic, number in sorted(counts.items())))
