"""`espmail up`: a whole installation on one machine."""

from __future__ import annotations

from cli import shared


def command() -> None:
    """Run broker, agents, gateways and projector together until SIGTERM or Ctrl-C.

    For a small site, or to try things; each part has a command of its own for the rest. Logs stand in var/log.

    Example: ESPMAIL_MTA=127.0.0.1:25 espmail up
    """
    import typer

    from deploy.stack import running

    settings = shared.settings()
    shared.heed_sigterm()
    with running(settings, typer.echo) as stack:
        typer.echo(f"ready; Kafka at {settings.bootstrap}, logs in {settings.var / 'log'}; Ctrl-C ends it")
        shared.until_stopped(stack.look)
