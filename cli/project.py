"""`espmail project`: the topics into the SQL tables, for as long as it runs."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from projections.gauges import Gauges
    from projections.reporter import Reporter
    from projections.runner import Projector
    from streams.events import DeadLettered
    from streams.settings import Settings


def command(
    *,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="End when everything that stands on the topics now is folded.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Fold the topics into the SQL tables (ESPMAIL_DATABASE) until SIGTERM or Ctrl-C.

    Rows and offsets are written in one transaction: kill it anywhere, start it again, and nothing is lost or counted twice.
    It makes or migrates the tables itself. A record that cannot be folded is listed in dead_letter, and the others go on.
    When a request has finished with mails undelivered, it queues one failure report to the request's own people.

    Examples: espmail project; espmail project --until-caught-up --json
    """
    from projections import database
    from projections.feed import Feed
    from projections.gauges import Gauges
    from projections.reporter import reporting
    from projections.runner import Projector
    from streams import metrics

    settings = shared.settings()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    engine = database.open_engine(settings.database_url)
    database.ensure_schema(engine)
    if not until_caught_up:
        metrics.serve(settings.metrics_port, "project")
    feed = Feed(settings.bootstrap)
    try:
        ends = {partition: extent.high for partition, extent in feed.extents().items()} if until_caught_up else None
        projector = Projector(engine, feed, on_dead=lambda letters: park(settings, letters))
        projector.start()
        if not as_json:
            typer.echo(f"folding {settings.bootstrap} into {engine.url.render_as_string(hide_password=True)}")
        with contextlib.nullcontext() if until_caught_up else reporting(reporter(settings, engine)):
            _run(projector, Gauges(projector), lambda: ends is not None and feed.at_end(ends), as_json=as_json)
    finally:
        feed.close()
        engine.dispose()


def reporter(settings: Settings, engine: Engine) -> Reporter:
    """What looks for requests that finished with mails undelivered."""
    from functools import partial

    from cli.publishing import publish
    from projections.heads import request_at
    from projections.reporter import Reporter

    return Reporter(engine, partial(request_at, settings), partial(publish, settings), lambda: datetime.now(UTC))


def park(settings: Settings, letters: Sequence[DeadLettered]) -> None:
    """Publish records that could not be folded to dead-letters. Blocks until acknowledged; raises UserError."""
    from cli.publishing import publish
    from streams import codec, topics
    from streams.publisher import Record

    publish(settings, [Record(topics.DEAD_LETTERS, letter.key or b"", codec.encode(letter)) for letter in letters])


def _run(projector: Projector, gauges: Gauges, done: Callable[[], bool], *, as_json: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())  # the batch in hand is finished first
    began = time.monotonic()
    while not stop.is_set() and not done():
        projector.run_once()
        gauges.observe()
    seconds = time.monotonic() - began
    if as_json:
        shared.print_json({"records": projector.folded, "seconds": round(seconds, 3), "caught_up": done()})
    else:
        typer.echo(f"folded {projector.folded} records in {seconds:.1f} s")
