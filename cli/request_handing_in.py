"""A request and its recipients from files to Kafka, in flat memory where the recipients have a file of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from cli.publishing import NotTaken, publish
from cli.request_io import keep_files, lines_of, read_request
from streams.errors import UsageError, UserError
from streams.events import MessageRequest
from streams.publisher import Record
from streams.settings import Settings
from streams.state.scratch import scratch
from streams.submission import gather, policy_of, record_of, submission


def hand_in(settings: Settings, path: Path, recipients: Path | None) -> tuple[MessageRequest, int]:
    """The request that stands on Kafka now, and of how many records it is. Blocks.

    Raises RequestRefused with every fault, UsageError or UserError; but for a UserError nothing was handed in. Doing it again completes it.
    """
    if str(path) == str(recipients) == "-":
        raise UsageError("the request and its recipients cannot both be on stdin; put one of them into a file")
    read, now, policy = read_request(path), datetime.now(UTC), policy_of(settings)
    if recipients is None:
        made = submission(read.value, now, policy)
        _warn(made.warnings)
        keep_files(settings, read)
        _publish(settings, made.request, len(made.records), made.records)
        return made.request, len(made.records)
    with lines_of(recipients) as lines, scratch() as kept, _progress() as bar:
        gathered = gather(read.value, bar.track(lines, description="reading people"), now, policy, kept)
        _warn(gathered.warnings)
        keep_files(settings, read)
        chunks = bar.track(gathered.chunks(), gathered.number, description="handing in")
        _publish(settings, gathered.head, gathered.number, (record_of(chunk, policy) for chunk in chunks))
        return gathered.head, gathered.number


def _publish(settings: Settings, request: MessageRequest, number: int, records: Iterable[Record]) -> None:
    """As publishing.publish; if it breaks off, with the words for somebody who wonders what goes out now."""
    try:
        publish(settings, records)
    except NotTaken as error:
        raise UserError(
            f"request {request.request_id} is not all in: Kafka at {settings.bootstrap} took {error.confirmed} of its {number} records, and then "
            "did not answer; the mails of those may go out. Run the same command again: it hands in the rest, and nothing goes out twice"
        ) from error


def _progress() -> Progress:
    """A bar on stderr, for somebody who looks at it."""
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
