"""`espmail doctor`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated

import typer

from cli import shared
from streams.settings import Settings

if TYPE_CHECKING:
    from dataclasses import Field

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
ShowSettings = Annotated[bool, typer.Option("--settings", help="Show every setting, its value and what it means, and check nothing.")]


def command(*, as_json: AsJson = False, show_settings: ShowSettings = False) -> None:
    """Say what is wrong with this installation, and how to mend it. Exits 1 if anything is; changes nothing.

    Example: ESPMAIL_KAFKA=kafka1:9092 espmail doctor
    """
    settings = shared.settings()
    if show_settings:
        _show_settings(settings, as_json=as_json)
        return
    from deploy.checkup import check_up

    findings = check_up(settings)
    for finding in findings:
        if as_json:
            shared.print_json(asdict(finding))
        else:
            typer.echo(f"{'ok   ' if finding.ok else 'WRONG'} {finding.name}: {finding.text}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _show_settings(settings: Settings, *, as_json: bool) -> None:
    for field in fields(Settings):
        name, value, text = f"ESPMAIL_{field.name.upper()}", _shown(settings, field), field.metadata["text"]
        if as_json:
            shared.print_json({"name": name, "value": value, "default": str(field.default), "text": text})
        else:
            typer.echo(f"{name}={value}\n    {text}" + ("" if value == str(field.default) else f" (default: {field.default})"))


def _shown(settings: Settings, field: Field[object]) -> str:
    """The value; a database's password stays hidden."""
    value = str(getattr(settings, field.name))
    if field.name != "database" or not value:
        return value
    from projections.database import open_engine

    return open_engine(value).url.render_as_string(hide_password=True)
