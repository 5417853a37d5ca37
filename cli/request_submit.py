"""`espmail request submit`, and the commands that speak of a request that was submitted: status, cancel, pause, resume, approve."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import shared

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST_ID")]
By = Annotated[str, typer.Option(help="Who says so; the login name if not said.")]
Recipients = Annotated[
    Path | None,
    typer.Option(help="The recipients, one JSON object a line, instead of those in the document; - reads stdin.", metavar="PEOPLE.jsonl"),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands on the group `espmail request`."""
    app.command()(submit)
    app.command()(status)
    app.command()(email)
    app.command()(cancel)
    app.command()(pause)
    app.command()(resume)
    app.command()(approve)


def submit(
    document: Annotated[Path, typer.Argument(help="The request; - reads it from stdin.", metavar="REQUEST.json")],
    recipients: Recipients = None,
    as_json: AsJson = False,
) -> None:
    """Hand in a request. The same request again is the same request; another one under its id changes nothing.

    Exits 1 if it is refused, with every fault; then nothing was handed in.

    Examples: espmail request submit request.json; espmail request submit request.json --recipients people.jsonl
    """
    from cli.request_handing_in import hand_in
    from cli.request_io import refused
    from streams.domain.outgoing.problems import RequestRefused

    try:
        request, records = hand_in(shared.settings(), document, recipients)
    except RequestRefused as error:
        raise typer.Exit(refused(error, as_json=as_json)) from None
    _answer(
        {"outcome": "accepted", "request_id": request.request_id, "people": request.recipients_total, "records": records},
        f"accepted: {request.recipients_total} people; follow it with `espmail request status {request.request_id}`",
        as_json=as_json,
    )


def status(
    request_id: RequestId,
    emails: Annotated[bool, typer.Option("--emails", help="Also each email.")] = False,
    only: Annotated[str | None, typer.Option(help="Only emails of this status, such as failed or in_doubt.", metavar="STATUS")] = None,
    as_json: AsJson = False,
) -> None:
    """What became of a request: its state, its counts, and who got what.

    Examples: espmail request status r1; espmail request status r1 --emails --only failed
    """
    from cli.status import show_request

    show_request(shared.settings(), request_id, as_json=as_json, emails=emails or only is not None, status=only)


def email(email_id: Annotated[str, typer.Argument(help="The email's id.", metavar="EMAIL_ID")], as_json: AsJson = False) -> None:
    """Everything that happened to one email, also to a test mail or a copy of a list's mail.

    Example: espmail request email f13d83a7-4a83-57a5-8c21-2201fc0d1a54
    """
    from cli.status import show_email

    show_email(shared.settings(), email_id, as_json=as_json)


def cancel(
    request_id: RequestId,
    reason: Annotated[str, typer.Option(help="Why; it stands beside every mail that is stopped.")] = "",
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Stop every mail of a request that was not handed over yet. Cannot be taken back."""
    from streams.events import MessageRequestCancelled

    _say(request_id, lambda at, who: MessageRequestCancelled(request_id, at, who, reason), by, "cancelled", as_json=as_json)


def pause(request_id: RequestId, by: By = "", as_json: AsJson = False) -> None:
    """Hold back every mail of a request that was not handed over yet, until `resume`."""
    from streams.events import MessageRequestPaused

    _say(request_id, lambda at, who: MessageRequestPaused(request_id, at, who), by, "paused", as_json=as_json)


def resume(request_id: RequestId, by: By = "", as_json: AsJson = False) -> None:
    """Let a paused request go on; its mails follow within seconds."""
    from streams.events import MessageRequestResumed

    _say(request_id, lambda at, who: MessageRequestResumed(request_id, at, who), by, "resumed", as_json=as_json)


def approve(request_id: RequestId, by: By = "", as_json: AsJson = False) -> None:
    """Let a request go out that waits for approval."""
    from streams.events import MessageRequestApproved

    _say(request_id, lambda at, who: MessageRequestApproved(request_id, at, who), by, "approved", as_json=as_json)


def _say(request_id: str, event_of: Callable[[datetime, str], Any], by: str, word: str, *, as_json: bool) -> None:
    from cli.publishing import publish
    from cli.status import doubt_about
    from streams.publisher import Record
    from streams.topics import MESSAGE_REQUESTS

    who, settings = by or getpass.getuser(), shared.settings()
    doubt = doubt_about(settings, request_id)  # before the word is said: it may end the request at once
    publish(settings, [Record.of(MESSAGE_REQUESTS, request_id, event_of(datetime.now(UTC), who))])
    if doubt:
        typer.echo(f"warning: {doubt}", err=True)
    _answer({"outcome": word, "request_id": request_id, "by": who}, f"{word}: {request_id}", as_json=as_json)


def _answer(answer: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        shared.print_json(answer)
    else:
        typer.echo(text)
