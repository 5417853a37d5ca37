"""`espmail inbound route`: what would become of an inbound mail, without a broker (architecture.md, section 8)."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.inbound_archive import add_to
from cli.shared import print_json, settings
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.domain.routing.document import Document
    from streams.domain.routing.model import Decision, Inbound, Message

NOWHERE = "unknown@localhost"  # stands for the envelope sender where neither the command line nor the From header names one

app = typer.Typer()
add_to(app)


@app.callback()
def inbound() -> None:
    """Ask what would become of an inbound mail, and what became of those that came."""


@app.command()
def route(
    message: Annotated[Path, typer.Argument(help="The mail as a file, header and body; - reads it from stdin.", metavar="MESSAGE.eml")],
    to: Annotated[str, typer.Option(help="Whole envelope recipient.", metavar="ADDRESS")],
    directory: Annotated[Path, typer.Option(help="People, classes, redirects and rules.", metavar="DIRECTORY.json")],
    mail_from: Annotated[str | None, typer.Option(help="Envelope sender; '<>' is the null sender, absent the From header's.")] = None,
    now: Annotated[str | None, typer.Option(help="Instant to decide at, as 2026-11-20T10:00:00Z.", metavar="INSTANT")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Decide on one mail as the route agent would, and show the copies that would go out. Sends and stores nothing.

    Exits 1 if the mail would be refused, 2 if the mail, the directory or an option cannot be read.
    """
    from streams.domain.routing.decide import decide
    from streams.domain.routing.document import directory_of_document

    document = read_directory(directory)
    mail = _mail(_content(message), to, mail_from, _instant(now))
    decision = decide(mail, directory_of_document(document))
    for fault in (*document.warnings, *decision.faults):
        typer.echo(f"warning: {fault}", err=True)
    if as_json:
        print_json(answer(decision, mail))
    else:
        _show(decision)
    raise typer.Exit(1 if decision.kind == "reject" else 0)


def answer(decision: Decision, mail: Inbound) -> dict[str, Any]:
    """The JSON object of a decision."""
    return {
        "decision": decision.kind.value,
        "reason": decision.reason,
        "list": None if decision.seq is None else {"seq": decision.seq, "handler": decision.handler},
        "messages": [_message(message, decision, mail) for message in decision.messages],
        "skipped": [{"address": skip.address, "user_id": skip.user_id, "reason": skip.reason} for skip in decision.skipped],
    }


def _message(message: Message, decision: Decision, mail: Inbound) -> dict[str, Any]:
    from streams.domain.routing.fields import scan
    from streams.domain.routing.outcome import return_path

    body = mail.content[decision.body_start :] if message.body is None else message.body
    return {
        "envelope_from": return_path(mail, message, own_paths=bool(settings().verp)),
        "envelope_to": [message.recipient],
        "headers": [[field.written_name, field.text] for field in scan(message.header + b"\r\n").fields],
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }


def _content(path: Path) -> bytes:
    from streams.domain.routing.fields import canonical

    try:
        return canonical(sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the mail {path}: {error.strerror}") from None


def read_directory(path: Path) -> Document:
    import json

    from streams.domain.routing.document import DocumentError, read_document

    try:
        return read_document(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"cannot read the directory {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, DocumentError):
            raise UsageError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None
        raise UsageError(f"{path} is no JSON document: {error}") from None


def _mail(content: bytes, to: str, mail_from: str | None, now: datetime) -> Inbound:
    from streams.domain import ids
    from streams.domain.routing.author import Unclear, author
    from streams.domain.routing.fields import scan
    from streams.domain.routing.model import Inbound

    if mail_from is None:
        found = author(scan(content))
        sender = NOWHERE if isinstance(found, Unclear) else found.address
    else:
        sender = mail_from.strip().removeprefix("<").removesuffix(">")
    return Inbound(ids.inbound_id(sender, to, content), now, sender, to, content)


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--now takes an instant like 2026-11-20T10:00:00Z, not {text!r}") from None
    if instant.tzinfo is None:
        raise UsageError(f"--now needs a zone: {text}Z is UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"--now {text} is out of range") from None


def _show(decision: Decision) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    rule = "no rule accepted" if decision.seq is None else f"rule {decision.seq}, {decision.handler}"
    console.print(Text(f"{decision.kind.value}: {decision.reason} ({rule})", style="bold"))
    table = Table("to", "subject", "outcome")
    for message in decision.messages:
        table.add_row(Text(message.to, overflow="fold"), Text(message.subject, overflow="fold"), Text(message.purpose))
    for skip in decision.skipped:
        table.add_row(Text(skip.address or f"user {skip.user_id}", overflow="fold"), "", Text(skip.reason, style="yellow"))
    if table.row_count:
        console.print(table)
    for sender in sorted({message.envelope_from for message in decision.messages}):
        console.print(Text(f"envelope sender <{sender}>"))
