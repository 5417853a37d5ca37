"""What became of a request, of an email, of an inbound mail: for people as tables, for programs as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cli import shared

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from projections.queries import RequestStatus
    from streams.settings import Settings

ENDED = frozenset({"finished", "no_recipients", "rejected", "cancelled"})
# What lets a request go on, by its state.
NEXT = {
    "awaiting_approval": "it waits for approval: `espmail request approve {}`",
    "paused": "it waits until somebody says `espmail request resume {}`",
}
# What a person wants to see of an email, in a table's width.
EMAIL_COLUMNS = ("status", "reason", "attempts", "sent_at", "send_to", "last_reply")
STALLED = timedelta(minutes=1)  # without another record of a request that is not expanded whole; far more than one takes
LONG = frozenset({"send_to", "last_reply", "reply"})  # go on in the next line, where others would have no room
DOUBT_COLUMNS = ("email_id", "reason", "send_to")  # what is in doubt is settled by its id
TIMELINE_COLUMNS = ("at", "event", "attempt", "reason", "reply")


@contextmanager
def tables(settings: Settings) -> Iterator[Connection]:
    """A connection to read the tables by, with projections/queries.py; warns of empty ones. Raises DatabaseUnusable."""
    from cli.main import complain
    from projections import queries

    with _connected(settings) as connection:
        if not queries.folded_records(connection):
            complain("the tables are empty; is `espmail project` running?")
        yield connection


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    from projections import database

    engine = database.open_engine(settings.database_url)
    database.ensure_schema(engine)
    try:
        with database.explained(engine), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def show_request(settings: Settings, request_id: str, *, as_json: bool, emails: bool = False, status: str | None = None) -> None:
    """Print the request's state and counts; with `emails`, also every email (of one status). Raises UserError for an unknown request."""
    from projections import queries
    from streams.errors import UsageError, UserError

    if status is not None and status not in queries.STATUSES:
        raise UsageError(f"there is no status {status!r}; there are {', '.join(queries.STATUSES)}")
    with tables(settings) as connection:
        found = queries.request_status(connection, request_id)
        if found is None:
            raise UserError(
                f"no request {request_id} has been folded; is `espmail project` running, the id right, and was all of it handed in?"
            )
        print_request(found, as_json=as_json)
        if emails:
            for page in _pages(connection, request_id, status):
                print_emails(page, as_json=as_json)


def show_email(settings: Settings, email_id: str, *, as_json: bool) -> None:
    """Print everything that happened to one email. Raises UserError for an unknown one."""
    from projections import queries
    from streams.errors import UserError

    with tables(settings) as connection:
        row = queries.email(connection, email_id)
        if row is None:
            raise UserError(f"no email {email_id} has been folded; is `espmail project` running, and the id right?")
        timeline = queries.email_timeline(connection, email_id)
    if as_json:
        shared.print_json(plain({**row, "timeline": timeline}))
    else:
        print_emails([row], as_json=False)
        print_table(TIMELINE_COLUMNS, timeline)


def print_request(found: RequestStatus, *, as_json: bool) -> None:
    """One request: a JSON object with `counts`, or a few lines."""
    now = datetime.now(UTC)
    if as_json:
        shared.print_json(
            plain({**found.request, "counts": found.counts, "finished_at": found.finished_at, "next_step": next_step(found, now)})
        )
        return
    from rich.console import Console

    row = found.request
    console = Console()
    console.print(f"{row['request_id']}  {row['subject'] or ''}", markup=False, highlight=False)
    console.print(f"{row['state']}: {_summary(found)}", markup=False, highlight=False)
    if step := next_step(found, now):
        console.print(f"  {step}", markup=False, highlight=False)
    for problem in [*([row["reason"]] if row["reason"] else []), *row["problems"], *(f"warning: {text}" for text in row["warnings"])]:
        console.print(f"  {problem}", markup=False, highlight=False)


def next_step(found: RequestStatus, now: datetime) -> str | None:
    """What the request waits for, and what somebody can do about it; none if it waits for nothing."""
    row = found.request
    stalled = row["expanded_at"] is not None and now - row["expanded_at"] > STALLED
    if row["state"] == "expanding" and stalled:
        return (
            f"incomplete: {row['chunks_expanded']} of its {row['chunks']} records were expanded, and for a minute no other; if its "
            "submission broke off, run the same `espmail request submit` again: it hands in the rest, and nothing goes out twice"
        )
    if row["state"] == "scheduled":
        return f"it is due at {row['due_at']:%Y-%m-%d %H:%M:%S} UTC"
    command = NEXT.get(row["state"])
    return command and command.format(row["request_id"])


def doubt_about(settings: Settings, request_id: str) -> str | None:
    """Why a word on the request may change nothing, as far as the tables here know; none if nothing speaks against it."""
    from projections import queries
    from streams.errors import UserError

    if not settings.database and not (settings.var / "espmail.sqlite").exists():
        return None  # the tables are elsewhere
    try:
        with _connected(settings) as connection:
            if not queries.folded_records(connection):
                return None  # nothing was folded here yet: the request may well be there
            found = queries.request_status(connection, request_id)
    except UserError:
        return None
    if found is None or found.request["head_offset"] is None:
        return f"no request {request_id} is known so far; check the id, for the word stays and holds for any request that comes under it"
    state = found.request["state"]
    return f"request {request_id} is {state.replace('_', ' ')} already, so this changes nothing" if state in ENDED else None


def print_emails(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Emails: a JSON object a line, or a table; there the answer to a mail that was taken, and empty columns, are left out."""
    if not as_json:
        shown = [{**row, "last_reply": None} if row["status"] == "sent" else row for row in rows]
        print_table([column for column in EMAIL_COLUMNS if any(row[column] not in (None, "") for row in shown)], shown)
        return
    for row in rows:
        shared.print_json(plain(row))


def plain(value: Any) -> Any:
    """The same value in JSON's types; instants in ISO 8601 with their zone."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _summary(found: RequestStatus) -> str:
    row = found.request
    counted = ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in found.counts.items() if number)
    going = row["people"] < (row["recipients_total"] or 0)
    progress = f"; {row['people']} of {row['recipients_total']} people expanded" if going else ""
    return f"{counted} of {row['expanded']}{progress}" if counted else f"nothing sent yet{progress}"


def _pages(connection: Connection, request_id: str, status: str | None) -> Iterator[list[Any]]:
    from projections import queries

    page: list[Any] = queries.emails_of_request(connection, request_id, status)
    while page:
        yield page
        page = queries.emails_of_request(connection, request_id, status, after=page[-1])


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """These columns of the rows, for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, caption="times are UTC; --json shows all columns in full", caption_justify="left")
    for column in columns:
        long = column in LONG
        table.add_column(column.replace("_", " "), no_wrap=not long, overflow="fold" if long else "ellipsis", min_width=len(column))
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else str(value)
