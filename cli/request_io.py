"""What the request commands share: reading a request's files, and saying why it is refused."""

from __future__ import annotations

import json
import mimetypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import typer

from cli.shared import print_json
from gateway.bodies import claim_for
from gateway.body_store import open_bodies
from streams.domain.outgoing.attachments import MAX_ATTACHMENTS, MAX_BYTES
from streams.domain.outgoing.people import MAX_LINE
from streams.domain.outgoing.problems import RequestRefused
from streams.errors import UsageError
from streams.settings import Settings

STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Read:
    """A request's document, in which each attachment is a claim check, and the files that it named by path."""

    value: dict[str, Any]
    files: tuple[bytes, ...]


def read_stdin_once(*paths: Path | None) -> None:
    """Refuse a second `-`, which would find stdin empty: as recipients, that is nobody. Raises UsageError."""
    if paths.count(STDIN) > 1:
        raise UsageError("stdin can be read once: only one of the files can be -")


def read_request(path: Path) -> Read:
    """The document in a file; `-` is stdin. Paths of attachments are seen from the document's folder.

    The files are not in the body store yet: see keep_files. Raises UsageError, also for JSON that is no object: that is no request.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UsageError(f"{path} holds no request: it must be one JSON object; put the request's fields between {{ and }}")
    named = value.get("attachments")
    if not isinstance(named, list):
        return Read(value, ())
    folder = Path() if path == STDIN else path.parent
    files: list[bytes] = []
    attachments = [_attachment(item, folder, files) for item in named[: MAX_ATTACHMENTS + 1]]
    return Read({**value, "attachments": attachments}, tuple(files))


def keep_files(settings: Settings, read: Read) -> None:
    """Put the files where senders find them, before the request that names them goes out. May be repeated. Raises UserError."""
    if read.files:
        bodies = open_bodies(settings)
        for data in read.files:
            bodies.put(data)


def read_json(path: Path) -> Any:
    """The document in a file; `-` is stdin. Raises UsageError."""
    try:
        return json.loads(sys.stdin.buffer.read() if path == STDIN else path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON document: {error}") from None


@contextmanager
def lines_of(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a file; `-` is stdin. Of one that is too long only the beginning. Raises UsageError."""
    try:
        if path == STDIN:
            yield _lines(sys.stdin.buffer)
        else:
            with path.open("rb") as file:
                yield _lines(file)
    except OSError as error:
        if error.filename != str(path):
            raise
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def refused(error: RequestRefused, *, as_json: bool) -> int:
    """Show every fault; returns the exit code."""
    problems = [{"code": one.code, "where": one.where, "text": one.text} for one in error.refused.problems]
    if as_json:
        print_json({"outcome": "rejected", "reason": error.refused.reason, "problems": problems})
    else:
        typer.echo("refused; nothing was handed in:", err=True)
        for problem in error.refused.problems:
            typer.echo(f"  {problem}", err=True)
    return 1


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE):
        yield line
        while len(line) == MAX_LINE and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE)  # the rest of what is refused anyway


def _attachment(item: Any, folder: Path, files: list[bytes]) -> Any:
    """One that names a file as one with its claim check; any other as it is. The file's bytes go to `files`."""
    if not isinstance(item, Mapping) or not isinstance(item.get("path"), str):
        return item
    path = folder / item["path"]
    data = _bytes_of(path, MAX_BYTES - sum(map(len, files)))
    files.append(data)
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    said = {key: value for key, value in item.items() if key != "path"}
    return {"filename": path.name, "content_type": guessed, **said, "body": asdict(claim_for(data))}


def _bytes_of(path: Path, room: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > room:
            raise UsageError(f"{path} has {size} bytes; all attachments together may have {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the attachment {path}: {error.strerror}") from None
