"""`espmail demo`: the whole road on this machine, with a made-up chapter and an MTA that only captures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli import shared


def command(
    once: Annotated[bool, typer.Option(help="End by itself; exit 1 unless every count adds up.")] = False,
) -> None:
    """Start everything, send a request to 200 people with guardians and a mail to a class list, and show who got what.

    Nothing leaves this machine: a capture MTA keeps every mail in a Maildir. All of it stands in var/demo; a further run
    goes on with what is there. ESPMAIL_KAFKA=host:port uses that Kafka instead of the embedded one.

    Examples: espmail demo; espmail demo --once
    """
    from deploy.demo import Demo, capture_child, maildir_for, settings_for
    from deploy.stack import running

    settings = settings_for(shared.settings())
    shared.heed_sigterm()
    began = datetime.now(UTC)
    capture = capture_child(settings, maildir_for(settings, began))
    with running(settings, lambda text: typer.echo(f"... {text}"), [capture]) as stack:
        problems = Demo(stack, began).run()
        for problem in problems:
            typer.echo(f"wrong: {problem}", err=True)
        if once:
            raise typer.Exit(1 if problems else 0)
        typer.echo("everything stays up until Ctrl-C; try `make demo ONCE=1` for a run that ends by itself")
        shared.until_stopped(stack.look)
