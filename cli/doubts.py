"""`espmail doubts`: mails of which nobody can say whether the MTA took them."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import shared

if TYPE_CHECKING:
    from streams.publisher import Record

app = typer.Typer(epilog="Example: espmail doubts reconcile --exim /var/log/exim4/mainlog")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]
EVERY = 1_000_000


@app.command("list")
def list_them(as_json: AsJson = False) -> None:
    """Each mail in doubt: its id, why, and to whom."""
    from cli.status import DOUBT_COLUMNS, print_emails, print_table

    found = _doubts()
    if as_json:
        print_emails(found, as_json=True)
    elif found:
        print_table(DOUBT_COLUMNS, found)
    else:
        typer.echo("no doubts")


@app.command()
def reconcile(
    exim: Annotated[Path | None, typer.Option(help="Exim's main log.", metavar="MAINLOG")] = None,
    postfix: Annotated[Path | None, typer.Option(help="Postfix's mail log.", metavar="LOG")] = None,
    resend_absent: Annotated[
        bool, typer.Option(help="Send again what is not in the log. Only if the log covers the whole time since the attempts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Settle doubts by the MTA's own log: a mail whose Message-ID is there was sent.

    Mail that was passed on has the Message-ID of all its copies; where that is in the log, the doubt stays for you to resolve.
    """
    from cli.publishing import publish
    from streams.domain.evidence import shown
    from streams.doubts import resend, sent

    settings, now, by = shared.settings(), datetime.now(UTC), getpass.getuser()
    seen = _taken(exim, postfix)
    records: list[Record] = []
    doubts = _doubts()
    if not doubts and not as_json:
        typer.echo("no doubts")
    for doubt in doubts:
        found, outcome = shown(seen, doubt["email_id"], doubt["message_id"]), "in_doubt"
        if found == "taken":
            outcome = "sent"
            records += sent(doubt, seen[doubt["message_id"]], now)
        elif found == "absent" and resend_absent:
            outcome = "requeued"
            records += resend(doubt, settings, by, "absent from the MTA's log", now)
        _say(doubt, outcome, as_json=as_json)
    publish(settings, records)


@app.command()
def resolve(
    email_ids: Annotated[list[str], typer.Argument(help="Their ids, as `list` shows them.")],
    as_: Annotated[str, typer.Option("--as", help="sent: it arrived. resend: send it again. failed: give it up.", metavar="OUTCOME")],
    as_json: AsJson = False,
) -> None:
    """Settle doubts by what you know."""
    from cli.publishing import publish
    from streams.doubts import failed, resend, sent
    from streams.errors import UsageError

    settings, now, by = shared.settings(), datetime.now(UTC), getpass.getuser()
    settle = {
        "sent": lambda doubt: sent(doubt, f"said by {by}", now),
        "resend": lambda doubt: resend(doubt, settings, by, "said by an operator", now),
        "failed": lambda doubt: failed(doubt, by, now),
    }.get(as_)
    if settle is None:
        raise UsageError(f"--as takes sent, resend or failed, not {as_!r}")
    known = {doubt["email_id"]: doubt for doubt in _doubts()}
    unknown = [email_id for email_id in email_ids if email_id not in known]
    if unknown:
        raise UsageError(f"not in doubt: {', '.join(unknown)}; nothing was changed")
    publish(settings, [record for email_id in email_ids for record in settle(known[email_id])])
    for email_id in email_ids:
        _say(known[email_id], as_, as_json=as_json)


def _doubts() -> list[Mapping[str, Any]]:
    from cli.status import tables
    from projections import queries

    with tables(shared.settings()) as connection:
        return [*queries.doubts(connection, most=EVERY)]


def _taken(exim: Path | None, postfix: Path | None) -> dict[str, str]:
    from streams.domain.evidence import taken
    from streams.errors import UsageError

    logs = [(kind, path) for kind, path in (("exim", exim), ("postfix", postfix)) if path is not None]
    if len(logs) != 1:
        raise UsageError("say which log to read: --exim MAINLOG or --postfix LOG")
    kind, path = logs[0]
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return taken(kind, lines)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _say(doubt: Mapping[str, Any], outcome: str, *, as_json: bool) -> None:
    if as_json:
        shared.print_json({"email_id": doubt["email_id"], "recipient": doubt["recipient"], "outcome": outcome})
    else:
        typer.echo(f"{doubt['email_id']}  {doubt['recipient']}  {outcome}")
