"""The command `espmail`: a table of commands, each in its own module, of which a run imports only the one it needs."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

# name: (module, what it does). A module has `app` (a typer.Typer: a group) or `command` (a function: one command).
COMMANDS = {
    "demo": ("cli.demo", "See the whole road work: broker, workers, gateway, sample mail, results."),
    "up": ("cli.up", "Run a whole installation on this machine."),
    "kafka": ("cli.kafka", "Run the embedded Kafka broker until Ctrl-C."),
    "topics": ("cli.topics", "Compare a cluster's topics with schemas/topics.yaml, and make them match."),
    "worker": ("cli.worker", "Run agents: expand, route, send, and the delay wheel."),
    "gateway": ("cli.gateway", "Take inbound mail by SMTP and LMTP."),
    "mailgate": ("cli.mailgate", "Take one mail on stdin, as an MTA's pipe hands it."),
    "web": ("cli.web", "Take requests by HTTP; unsubscribe pages, public pages, provider webhooks."),
    "project": ("cli.project", "Fold the topics into the SQL tables."),
    "projections": ("cli.projections", "Rebuild the SQL tables from the topics, or verify them."),
    "request": ("cli.request", "Submit, follow, cancel, preview or dry-run a message request."),
    "inbound": ("cli.inbound", "Ask what would become of an inbound mail."),
    "moderation": ("cli.moderation", "List, approve and reject mails that are held."),
    "suppressions": ("cli.suppressions", "Show and settle which mail an address gets no more of."),
    "directory": ("cli.directory", "Load sites, people, classes, redirects and email lists."),
    "dead-letters": ("cli.dead_letters", "List, show and replay records that could not be handled."),
    "doubts": ("cli.doubts", "List and settle mails that may or may not have been sent."),
    "bodies": ("cli.bodies", "Remove bodies that no record names."),
    "keys": ("cli.keys", "Rotate the secrets that sign unsubscribe links."),
    "replay": ("cli.replay", "Read a topic again from an earlier point."),
    "doctor": ("cli.doctor", "Say what is wrong with this installation, and how to mend it."),
}

EPILOG = """Examples: `espmail demo --once` runs everything on this machine and ends; `espmail doctor` says what is wrong and what to do;
`espmail request dry-run request.json --json` needs no broker. Settings are environment variables: `espmail doctor --settings`."""


def main() -> None:
    """The console script. Exits 0 when it did what was asked, 1 when that was refused or failed, 2 for wrong usage or settings."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "mailgate":  # an MTA waits for each of these: not even typer is imported
        sys.exit(importlib.import_module(COMMANDS[name][0]).main(sys.argv[2:]))
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. An error meant for the user is one line on stderr, without a traceback."""
    from streams.errors import UserError

    name = arguments[0] if arguments else ""
    try:
        application(name)(args=list(arguments), prog_name="espmail")
    except UserError as error:
        complain(str(error))
        return error.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def application(wanted: str = "") -> typer.Typer:
    """All commands by name and help, and the wanted one for real."""
    import typer

    app = typer.Typer(
        help="Mail for ESP sites: requests and inbound mail are events on Kafka, every outcome a row in SQL.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # a traceback is for a bug, and then the plain one is the best to send
    )
    for name, (module, text) in COMMANDS.items():
        if name == wanted:
            _add(app, name, importlib.import_module(module), text)
        else:
            app.command(name, help=text)(_not_loaded)
    return app


def complain(text: str) -> None:
    """One red line a problem on stderr."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True)
    for line in text.splitlines():
        console.print(Text(f"espmail: {line}", style="red"))


def _add(app: typer.Typer, name: str, module: object, text: str) -> None:
    if hasattr(module, "app"):
        app.add_typer(module.app, name=name, help=text, no_args_is_help=True)
    else:
        app.command(name)(module.command)  # type: ignore[attr-defined]  # the table's contract; its docstring says more than the list


def _not_loaded() -> None:
    """Stands for a command in the list; a command that is run is imported first."""


if __name__ == "__main__":
    main()
