"""`espmail request dry-run`: the road of a request up to the wire, for one file (architecture.md, section 8)."""

from __future__ import annotations

import difflib
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.request_io import lines_of, read_request
from cli.shared import print_json, settings
from gateway.keys import KeyFileError, load_keyring
from streams.domain.outgoing.dry_run import DryRun, Row, Totals, add_up, differences, dry_run, rejection, row
from streams.domain.outgoing.expansion import Facts, gap_warnings
from streams.domain.outgoing.fields import parse_instant
from streams.domain.outgoing.policy import needs_approval
from streams.domain.outgoing.problems import Refused, RequestRefused
from streams.domain.outgoing.request import Parsed, parse_request
from streams.domain.outgoing.unsubscribe import Keyring
from streams.errors import UsageError
from streams.events import MessageRequest
from streams.state.scratch import scratch
from streams.submission import gather, policy_of

SHOWN_LINES = 12  # of a text, in the summary
SHOWN_CHANGES = 5


def answer(path: Path, recipients: Path | None, now: str | None, *, as_json: bool) -> int:
    """Print what the request in `path` would come to; returns the exit code. Raises UsageError.

    `recipients` is a file with one of them a line, which may be long.
    """
    document, instant, gaps = read_request(path).value, _instant(now), Counter[str]()
    try:
        if recipients is None:
            return _answer(_run(document, instant, gaps), gaps, as_json=as_json)
        with scratch() as kept, lines_of(recipients) as lines:
            policy = policy_of(settings())
            made = gather(document, lines, instant, policy, kept)
            _warn(made.warnings)
            run = dry_run(Parsed(made.head, made.warnings), _facts(), instant, policy, gaps, made.chunks())
            return _answer(run, gaps, as_json=as_json)
    except RequestRefused as error:
        return _refuse(error.refused, as_json=as_json)


def _answer(run: DryRun, gaps: Counter[str], *, as_json: bool) -> int:
    if as_json:
        for line in run.lines:
            print_json(row(line, run.checked))
    else:
        _show(run, add_up(run.lines))
    _warn(gap_warnings(gaps))
    return 0


def compare(path: Path, others: list[Path], now: str | None, *, as_json: bool) -> int:
    """Print whose mail each other version would change; returns the exit code. Raises UsageError."""
    document, instant = read_request(path).value, _instant(now)
    try:
        before = _rows(document, instant)
        for other in others:
            changes = differences(before, _rows({**document, **read_request(other).value}, instant))
            if as_json:
                for change in changes:
                    print_json({"against": str(other), **change})
            else:
                _show_changes(other, list(changes), len(before))
    except RequestRefused as error:
        return _refuse(error.refused, as_json=as_json)
    return 0


def _rows(document: dict[str, Any], now: datetime) -> dict[str, Row]:
    run = _run(document, now, Counter())
    return {line.email_id: row(line, run.checked) for line in run.lines}


def _run(document: dict[str, Any], now: datetime, gaps: Counter[str]) -> DryRun:
    policy = policy_of(settings())
    parsed = parse_request(document, now, policy)
    _warn(parsed.warnings)
    return dry_run(parsed, _facts(), now, policy, gaps)


def _facts() -> Facts:
    return Facts(suppressed=lambda _: None, keyring=keyring(settings().var))


def keyring(var: Path) -> Keyring:
    """The installation's own, so that links are the ones that would be sent; without a key a dry run goes on."""
    try:
        return load_keyring(var)
    except KeyFileError as error:
        _warn([f"{error}; the unsubscribe links shown are of no key"])
        return Keyring((bytes(32),))


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UsageError(f"--now {error}") from None


def _refuse(refused: Refused, *, as_json: bool) -> int:
    if as_json:
        print_json(rejection(refused))
        return 1
    console = Console(soft_wrap=True)
    console.print(Text(f"rejected: {refused.reason}; nothing would be sent", style="bold red"))
    for problem in refused.problems:
        console.print(Text(f"  {problem}"))
    return 1


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _show(run: DryRun, totals: Totals) -> None:
    console = Console(soft_wrap=True)
    console.print(Text(f"{run.checked.request.request_id}: {run.checked.request.subject}", style="bold"))
    table = Table("what", "how many")
    table.add_row("people", str(run.checked.request.recipients_total))
    table.add_row("mails queued", str(totals.queued))
    for reason, count in totals.skipped.most_common():
        table.add_row(Text(f"skipped: {reason}", style="yellow"), str(count))
    if totals.sizes:
        middle = round(statistics.median(totals.sizes))
        table.add_row("bytes a mail: smallest, median, largest", f"{min(totals.sizes)}, {middle}, {max(totals.sizes)}")
    for file in run.checked.request.attachments:
        table.add_row(Text(f"attached to each: {file.filename}"), f"{file.body.size} bytes")
    console.print(table)
    console.print("addresses that unsubscribed or bounced are known only where mail is sent; they are left out there")
    for text in _before_it_goes(run.checked.request):
        console.print(Text(text, style="yellow"))
    for who, why in totals.left_out:
        console.print(Text(f"no mail to {who}: {why}"))
    if (more := totals.skipped.total() - len(totals.left_out)) > 0:
        console.print(f"... and {more} more get none; --json lists them all")
    for title, texts in (("emptiest", totals.shortest[:1]), ("longest", totals.longest[:1])):
        for length, to, subject, text in texts:
            console.print(Text(f"\nthe {title} text, {length} characters, to {to}: {subject}", style="bold"))
            console.print(Text("\n".join(text.splitlines()[:SHOWN_LINES])))


def _before_it_goes(request: MessageRequest) -> Iterator[str]:
    """What would keep it waiting once it is handed in."""
    if request.not_before is not None:
        yield f"it would wait until {request.not_before.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if needs_approval(request, policy_of(settings())):
        yield "it would wait for approval (`espmail request approve`)"


def _show_changes(other: Path, changes: list[Row], total: int) -> None:
    console = Console(soft_wrap=True)
    console.print(Text(f"{other}: {len(changes)} of {total} differ", style="bold"))
    for change in changes[:SHOWN_CHANGES]:
        console.print(Text(f"{change['to'] or change['user_id']}: {', '.join(change['changes'])}", style="bold"))
        for name, (old, new) in change["changes"].items():
            for line in difflib.unified_diff(_lines(old), _lines(new), f"{name} before", f"{name} after", lineterm="", n=1):
                console.print(Text(line, style={"+": "green", "-": "red"}.get(line[0], "")))
    if len(changes) > SHOWN_CHANGES:
        console.print(f"... and {len(changes) - SHOWN_CHANGES} more; --json lists them all")


def _lines(value: str | None) -> list[str]:
    return (value or "").splitlines()
