"""`espmail projections rebuild|verify`: the SQL tables against the topics that they are folded from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cli import shared

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from projections.feed import Feed
    from projections.scratch import Difference

app = typer.Typer(epilog="Example: espmail projections verify --json")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Progress = Callable[[int], None]


@app.command()
def verify(*, as_json: AsJson = False) -> None:
    """Fold everything that the tables account for a second time, and compare. Exits 1 if any row differs.

    The projector may run on meanwhile: one moment's snapshot is compared with the records up to exactly that moment.
    """
    from projections import rebuild as projections

    with _parts() as (engine, feed, progress):
        found = projections.verify(engine, feed, progress)
    if as_json:
        shared.print_json({"equal": not found.differences, "records": found.records, "differences": [_plain(d) for d in found.differences]})
    else:
        for difference in found.differences:
            typer.echo(_line(difference))
        typer.echo(
            f"{found.records} records folded again: "
            + ("the tables differ; `espmail projections rebuild` mends them" if found.differences else "every row is equal")
        )
    if found.differences:
        raise typer.Exit(1)


@app.command()
def rebuild(*, as_json: AsJson = False) -> None:
    """Fold the topics anew beside the live tables, then make those equal in one transaction.

    The projector and all readers may go on meanwhile; it may be killed and repeated at any point.
    """
    from projections import rebuild as projections

    with _parts() as (engine, feed, progress):
        done = projections.rebuild(engine, feed, progress)
    if as_json:
        shared.print_json({"records": done.records, "changed": done.changed})
    else:
        typer.echo(f"{done.records} records folded anew; {done.changed} rows were not as the topics say, and are now")


@contextmanager
def _parts() -> Iterator[tuple[Engine, Feed, Progress]]:
    """The database and the topics, and a bar on stderr that knows how much there is to read."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from projections import database
    from projections.feed import Feed

    settings = shared.settings()
    engine = database.open_engine(settings.database_url)
    database.ensure_schema(engine)
    feed = Feed(settings.bootstrap)
    try:
        total = sum(extent.high - extent.low for extent in feed.extents().values())
        with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("records", total=total)
            yield engine, feed, lambda records: bar.advance(task, records)
    finally:
        feed.close()
        engine.dispose()


def _line(difference: Difference) -> str:
    name = f"{difference.table} {' '.join(map(str, difference.key))}"
    if difference.live is None:
        return f"{name}: missing"
    if difference.folded is None:
        return f"{name}: follows from no record"
    return f"{name}: " + "; ".join(
        f"{column} is {difference.live[column]!r}, should be {difference.folded[column]!r}" for column in difference.columns()
    )


def _plain(difference: Difference) -> dict[str, object]:
    from cli.status import plain

    return plain(difference._asdict())  # type: ignore[no-any-return]
