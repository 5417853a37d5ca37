"""`espmail request preview` and `espmail request test`: a request looked at before it is sent."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import shared

Document = Annotated[Path, typer.Argument(help="The request; - reads it from stdin.", metavar="REQUEST.json")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]

RULE = 72  # characters between one mail and the next


def add_to(app: typer.Typer) -> None:
    """Register these commands on the group `espmail request`."""
    app.command()(preview)
    app.command("test")(send_test)


def preview(
    document: Document,
    user: Annotated[str, typer.Option(help="Which recipient.", metavar="USER_ID")],
    as_json: AsJson = False,
) -> None:
    """Show what one recipient would get, whole. Needs no broker and sends nothing.

    Exits 1 if the request would be refused, or has no such recipient.

    Example: espmail request preview request.json --user 42
    """
    from cli.request_dry_run import keyring
    from cli.request_io import read_request, refused
    from streams.domain.outgoing.dry_run import dry_run, row
    from streams.domain.outgoing.expansion import Facts
    from streams.domain.outgoing.problems import RequestRefused
    from streams.domain.outgoing.request import Parsed, parse_request
    from streams.domain.outgoing.trial import for_person
    from streams.submission import policy_of

    settings, now = shared.settings(), datetime.now(UTC)
    policy = policy_of(settings)
    try:
        parsed = parse_request(read_request(document).value, now, policy)
        alone = Parsed(for_person(parsed.request, user), ())
        run = dry_run(alone, Facts(lambda _: None, keyring(settings.var)), now, policy, Counter())
    except RequestRefused as error:
        raise typer.Exit(refused(error, as_json=as_json)) from None
    for number, line in enumerate(run.lines):
        shown = row(line, run.checked)
        if number and not as_json:
            typer.echo("\n" + "=" * RULE + "\n")
        shared.print_json(shown) if as_json else _show(shown)


def send_test(
    document: Document,
    to: Annotated[str, typer.Option(help="Who gets the test mail.", metavar="ADDRESS")],
    user: Annotated[str | None, typer.Option(help="Whose text it is; the creator's if not said.", metavar="USER_ID")] = None,
    as_json: AsJson = False,
) -> None:
    """Send one mail of a request to one address, marked [TEST]. The request itself is not handed in.

    Its unsubscribe links do nothing. Exits 1 if the request would be refused.

    Example: espmail request test request.json --to me@example.org --user 42
    """
    from cli.publishing import publish
    from cli.request_io import keep_files, read_request, refused
    from streams import topics
    from streams.domain.outgoing.problems import RequestRefused
    from streams.domain.outgoing.request import parse_request
    from streams.domain.outgoing.trial import trial
    from streams.publisher import Record
    from streams.submission import policy_of

    settings, now = shared.settings(), datetime.now(UTC)
    policy = policy_of(settings)
    read = read_request(document)
    try:
        email = trial(parse_request(read.value, now, policy).request, to, user, now, policy)
    except RequestRefused as error:
        raise typer.Exit(refused(error, as_json=as_json)) from None
    keep_files(settings, read)
    publish(settings, [Record.of(topics.EMAILS_URGENT, email.email_id, email)])
    if as_json:
        shared.print_json({"outcome": "accepted", "email_id": email.email_id, "to": email.recipient})
    else:
        typer.echo(f"accepted: a test mail to {email.recipient}; follow it with `espmail request email {email.email_id}`")


def _show(shown: dict[str, Any]) -> None:
    """As a mail program would show it: some header lines, then the text, then the HTML."""
    if shown["outcome"] != "queued":
        typer.echo(f"{shown['to']}: skipped, {shown['reason']}: {shown['detail']}")
        return
    for name, value in shown["headers"].items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"\n{shown['text']}")
    if shown["html"] is not None:
        typer.echo(f"\n-- HTML --\n{shown['html']}")
