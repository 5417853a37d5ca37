"""`espmail suppressions`: which mail an address gets no more of, and why; and the operator's word on it."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import shared

if TYPE_CHECKING:
    from projections.queries import Row

app = typer.Typer(epilog="Examples: espmail suppressions show ann@example.org; espmail suppressions lift ann@example.org")
Address = Annotated[str, typer.Argument(help="The bare address; only its hash is kept and compared.", metavar="ADDRESS")]
Purpose = Annotated[str, typer.Option(help="request, list or alias; * is all mail.")]
By = Annotated[str, typer.Option(help="Who says so; the login name if not said.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]
COLUMNS = ("purpose", "suppressed", "reason", "at", "by")


@app.command()
def show(address: Address, as_json: AsJson = False) -> None:
    """What is noted of an address, purpose by purpose; where nothing is, it gets all mail.

    Example: espmail suppressions show ann@example.org --json
    """
    from cli.status import plain, print_table

    found = _noted(_hash_of(address))
    if as_json:
        for row in found:
            shared.print_json(plain(row))
    elif found:
        print_table(COLUMNS, found)
    else:
        typer.echo(f"nothing is noted of {address}: it gets all mail")


@app.command()
def lift(address: Address, by: By = "", as_json: AsJson = False) -> None:
    """Let an address get mail again, of each purpose that is suppressed, and forget its soft bounces.

    For a bounce that was a mistake, or an address that works again. Whoever unsubscribed or complained did not ask you for that.

    Example: espmail suppressions lift ann@example.org
    """
    from streams.errors import UserError
    from streams.events import Resubscribed

    hashed, who, now = _hash_of(address), by or getpass.getuser(), datetime.now(UTC)
    suppressed = [row for row in _noted(hashed) if row["suppressed"]]
    if not suppressed:
        raise UserError(f"no mail to {address} is suppressed, as far as the tables know; nothing was changed")
    for row in suppressed:
        if row["reason"] in ("unsubscribed", "complaint"):
            typer.echo(f"warning: {row['purpose']} was the person's own wish ({row['reason']})", err=True)
    _publish([Resubscribed(str(uuid.uuid4()), now, hashed, row["purpose"], f"operator {who}") for row in suppressed])
    _answer("lifted", [row["purpose"] for row in suppressed], who, as_json=as_json)


@app.command()
def add(address: Address, purpose: Purpose = "*", by: By = "", as_json: AsJson = False) -> None:
    """Send an address no more mail, of one purpose or at all: for somebody who asked by telephone. `lift` takes it back.

    Example: espmail suppressions add ann@example.org --purpose request
    """
    from gateway.http.subscriptions import PURPOSES
    from streams.errors import UsageError
    from streams.events import Unsubscribed
    from streams.ports import EVERY_PURPOSE

    if purpose not in (*PURPOSES, EVERY_PURPOSE):
        raise UsageError(f"there is no purpose {purpose!r}; there are {', '.join((*PURPOSES, EVERY_PURPOSE))}")
    hashed, who = _hash_of(address), by or getpass.getuser()
    _publish([Unsubscribed(str(uuid.uuid4()), datetime.now(UTC), None, hashed, purpose, f"operator {who}")])
    _answer("suppressed", [purpose], who, as_json=as_json)


def _hash_of(address: str) -> str:
    from streams.domain.addresses import AddressError, address_hash, check_address
    from streams.errors import UsageError

    try:
        return address_hash(check_address(address))
    except AddressError as error:
        raise UsageError(str(error)) from None


def _noted(hashed: str) -> list[Row]:
    from cli.status import tables
    from projections import queries

    with tables(shared.settings()) as connection:
        return queries.suppressed(connection, hashed)


def _publish(said: Sequence[Any]) -> None:
    from cli.publishing import publish
    from streams.publisher import events
    from streams.topics import FEEDBACK

    publish(shared.settings(), events(FEEDBACK, ((event.address_hash, event) for event in said)))


def _answer(word: str, purposes: Sequence[str], who: str, *, as_json: bool) -> None:
    if as_json:
        for purpose in purposes:
            shared.print_json({"outcome": word, "purpose": purpose, "by": who})
    else:
        typer.echo(f"{word}: {', '.join('all mail' if purpose == '*' else purpose for purpose in purposes)}; it counts within seconds")
