"""`espmail moderation`: mails to lists that wait for somebody's word."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli import shared

app = typer.Typer(epilog="Example: espmail moderation approve 3f6c...")
InboundIds = Annotated[list[str], typer.Argument(help="Their ids, or the beginnings, as `list` shows them.", metavar="INBOUND_ID...")]
By = Annotated[str, typer.Option(help="Who says so; the login name if not said.")]
Note = Annotated[str, typer.Option(help="Why; it is kept beside the mail, and told to the sender of a rejected one.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]
EVERY = 100_000


@app.command("list")
def list_them(as_json: AsJson = False) -> None:
    """Each held mail: when it came, from whom, to which list, why it waits."""
    from cli.inbound_archive import entry, vouched
    from cli.status import plain, tables
    from projections import queries

    with tables(shared.settings()) as connection:
        held = [mail for mail in queries.recent_inbound(connection, "hold", EVERY) if queries.waits_for_moderator(mail)]
    for mail in held:
        shared.print_json(plain(mail)) if as_json else typer.echo(entry(mail, mail["reason"], vouched(mail)))
    if not held and not as_json:
        typer.echo("no mail is held")


@app.command()
def approve(inbound_ids: InboundIds, note: Note = "", by: By = "", as_json: AsJson = False) -> None:
    """Let held mails go to their lists, each once, however often it is said."""
    from streams.events import InboundApproved

    _say(inbound_ids, lambda one, at, who: InboundApproved(one, at, who, note), "approved", by, as_json=as_json)


@app.command()
def reject(inbound_ids: InboundIds, note: Note = "", by: By = "", as_json: AsJson = False) -> None:
    """Drop held mails. With a note their senders are told, where they are known; without one nobody is."""
    from streams.events import InboundRejected

    _say(inbound_ids, lambda one, at, who: InboundRejected(one, at, who, note), "rejected", by, as_json=as_json)


def _say(inbound_ids: Sequence[str], event_of: Callable[[str, datetime, str], Any], word: str, by: str, *, as_json: bool) -> None:
    from cli.publishing import publish
    from streams.publisher import Record
    from streams.topics import MODERATION

    settings, now, who = shared.settings(), datetime.now(UTC), by or getpass.getuser()
    held = _held(inbound_ids)
    publish(settings, [Record.of(MODERATION, one, event_of(one, now, who)) for one in held])
    for one in held:
        shared.print_json({"inbound_id": one, "outcome": word, "by": who}) if as_json else typer.echo(f"{word}: {one}")


def _held(inbound_ids: Sequence[str]) -> list[str]:
    """Their whole ids. Raises UsageError unless every one of them waits for a word."""
    from cli.inbound_archive import whole_id
    from cli.status import tables
    from projections import queries
    from streams.errors import UsageError

    with tables(shared.settings()) as connection:
        whole = {one: whole_id(connection, one) for one in inbound_ids}
        found = {said: queries.inbound(connection, one) if one else None for said, one in whole.items()}
    wrong = [f"{one} {_why_not(mail)}" for one, mail in found.items() if _why_not(mail)]
    if wrong:
        raise UsageError("; ".join(wrong) + "; nothing was changed, `espmail moderation list` shows what waits")
    return [one for one in whole.values() if one]


def _why_not(mail: Mapping[str, Any] | None) -> str:
    """Why there is nothing to be said about this mail; empty if there is."""
    from projections.queries import waits_for_moderator

    if mail is None:
        return "is no mail that was folded"
    if waits_for_moderator(mail):
        return ""
    if mail["moderation"] is not None:
        return f"was {mail['moderation']} by {mail['moderated_by']} already"
    return f"is not held ({mail['decision'] or 'not decided yet'})"
