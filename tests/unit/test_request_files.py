"""A file that holds no request is wrong usage, whichever command reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import main

COMMANDS = (
    ("submit",),
    ("submit", "--recipients", "/dev/null"),
    ("dry-run",),
    ("dry-run", "--recipients", "/dev/null"),
    ("preview", "--user", "1"),
    ("test", "--to", "me@example.org"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("text", ["[]", '["request"]', "7", "null", "no JSON"])
def test_what_is_no_object_is_no_request(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], text: str) -> None:
    path = tmp_path / "request.json"
    path.write_text(text)
    assert main.run(["request", command[0], str(path), *command[1:]]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert str(path) in said.err
