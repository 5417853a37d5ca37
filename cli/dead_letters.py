"""`espmail dead-letters`: records that could not be handled."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import shared

if TYPE_CHECKING:
    from streams.parked import Parked

app = typer.Typer(
    epilog="A dead letter is known by its offset. Mend the cause first: a record that still cannot be handled comes back as another."
)
LAST = 2**63 - 1  # Kafka's greatest offset
Offset = Annotated[int, typer.Argument(min=0, max=LAST, help="Its offset, as `list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]


@app.command("list")
def list_them(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were replayed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Those that wait for somebody: when, which agent gave up, why, and where the record stood."""
    from streams.parked import parked

    found = [one for one in parked(shared.settings()) if everything or not one.replayed]
    for one in found:
        shared.print_json(described(one)) if as_json else typer.echo(_line(one))
    if not found and not as_json:
        typer.echo("no dead letters")


@app.command()
def show(offset: Offset, as_json: AsJson = False) -> None:
    """One of them: its headers, what it says if it can be read, and its original bytes."""
    from streams.parked import parked_at

    one = parked_at(shared.settings(), offset)
    if as_json:
        return shared.print_json({**described(one), "value": (one.letter.value or b"").hex(), "event": _event(one)})
    typer.echo(_line(one))
    typer.echo(one.letter.detail)
    for header in one.letter.headers:
        typer.echo(f"header {header.name}: {header.value!r}")
    typer.echo(_event(one) or (one.letter.value or b"").hex(" ", 4))
    return None


@app.command()
def replay(
    offsets: Annotated[list[int], typer.Argument(min=0, max=LAST, help="Their offsets, as `list` shows them.")],
    as_json: AsJson = False,
) -> None:
    """Put the original records back on their topics, bytes and key as they were, and note that it was done."""
    from cli.publishing import publish
    from streams.parked import parked_at, replayed

    settings = shared.settings()
    letters = [parked_at(settings, offset) for offset in offsets]
    by, now = getpass.getuser(), datetime.now(UTC)
    publish(settings, [record for one in letters for record in replayed(one, by, now)])
    for one in letters:
        answer = {"offset": one.offset, "topic": one.letter.topic, "outcome": "replayed"}
        shared.print_json(answer) if as_json else typer.echo(f"{one.offset}: put back on {one.letter.topic}")


def described(one: Parked) -> dict[str, Any]:
    """A dead letter for programs."""
    letter = one.letter
    return {
        "offset": one.offset,
        "at": letter.at.isoformat(),
        "agent": letter.agent,
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "source_offset": letter.offset,
        "size": len(letter.value or b""),
        "replayed": one.replayed,
    }


def _line(one: Parked) -> str:
    letter = one.letter
    done = " (replayed)" if one.replayed else ""
    where = f"{letter.topic}[{letter.partition}]@{letter.offset}"
    return f"{one.offset}  {letter.at:%Y-%m-%d %H:%M:%SZ}  {letter.agent}  {letter.reason}  {where}{done}"


def _event(one: Parked) -> str:
    from streams import codec

    try:
        return repr(codec.decode(one.letter.value))
    except codec.Undecodable:
        return ""
