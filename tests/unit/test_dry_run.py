"""`espmail request dry-run`: the contract of architecture.md, section 8."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from tests.services.outgoing import document

KEYS = ["email_id", "user_id", "to", "from", "envelope_from", "subject", "text", "html", "headers", "outcome", "reason"]
NOW = ("--now", "2026-11-21T00:00:00Z")


@pytest.fixture(autouse=True)
def _var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPMAIL_VAR", str(tmp_path / "var"))


def written(folder: Path, content: Any, name: str = "request.json") -> str:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return str(folder / name)


def answered(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    code = run(["request", "dry-run", *arguments, "--json", *NOW])
    out, err = capfd.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_one_object_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, lines, err = answered(capfd, written(tmp_path, document("ann", "dee", body="caf\u00e9 {{ program.receipt }}", colour="red")))
    assert code == 0
    assert [[key for key in line if key != "detail"] for line in lines] == [KEYS, KEYS]
    assert (lines[0]["text"], lines[0]["outcome"], lines[0]["reason"], lines[0]["html"]) == ("caf\u00e9 ", "queued", None, None)
    assert (lines[1]["outcome"], lines[1]["reason"], lines[1]["text"], lines[1]["headers"]) == ("skipped", "no_address", None, {})
    assert err.splitlines() == [
        "warning: colour is not a known key and was ignored",
        "warning: program.receipt has no value in 1 mails and is left empty there",
    ]


def test_it_answers_the_same_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, document("ann", "bob"))
    assert answered(capfd, path) == answered(capfd, path)


@pytest.mark.parametrize("changes", [{"recipients": []}, {"recipients": [{"user_id": "1"}]}])
def test_nobody_to_mail_is_an_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str], changes: dict[str, Any]) -> None:
    assert answered(capfd, written(tmp_path, document(**changes)))[0] == 0


def test_stdin_is_read_once(capfd: pytest.CaptureFixture[str]) -> None:
    code, lines, err = answered(capfd, "-", "--recipients", "-")
    assert (code, lines) == (2, [])
    assert "stdin can be read once" in err


def test_a_refused_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = answered(capfd, written(tmp_path, document("ann", send_to="send_to_nobody", sender="x@gmail.com")))
    assert code == 1
    assert [(line["outcome"], line["reason"]) for line in lines] == [("rejected", "unknown_send_to")]
    assert [problem["where"] for problem in lines[0]["problems"]] == ["send_to", "sender"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_wrong_usage(tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    code, lines, err = answered(capfd, str(tmp_path / "x.json"))
    assert (code, lines) == (2, [])
    assert err.startswith("espmail: ")
    assert "Traceback" not in err


def test_a_file_that_is_not_there_and_an_instant_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert answered(capfd, str(tmp_path / "none.json"))[0] == 2
    assert run(["request", "dry-run", written(tmp_path, document()), "--now", "tomorrow"]) == 2
    assert "--now must be an instant" in capfd.readouterr().err


def test_a_folder_that_cannot_be_written_does_not_stop_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    monkeypatch.setenv("ESPMAIL_VAR", str(tmp_path / "file" / "var"))
    code, lines, err = answered(capfd, written(tmp_path, document("ann")))
    assert (code, len(lines)) == (0, 1)
    assert "the unsubscribe links shown are of no key" in err


def test_the_summary_counts_and_shows_the_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    people = ("ann", "dee", "ina", {"user_id": "9", "first_name": "Maximiliane", "email": "m@x.org"})
    assert run(["request", "dry-run", written(tmp_path, document(*people, body="[red]{{ user.first_name }}[/red]")), *NOW]) == 0
    out = capfd.readouterr().out
    for shown in (
        "mails queued",
        "skipped: no_address",
        "skipped: inactive",
        'no mail to "Dee Fox"',
        'no mail to "Ina Old"',
        "[red]Ann[/red]",
        "[red]Maximiliane[/red]",
    ):
        assert shown in out


def test_the_summary_says_what_the_request_would_wait_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, document("ann", not_before="2026-12-24T18:00:00Z", needs_approval=True))
    assert run(["request", "dry-run", path, *NOW]) == 0
    out = capfd.readouterr().out
    assert "wait until 2026-12-24 18:00:00 UTC" in out
    assert "wait for approval" in out


def test_the_summary_of_a_refused_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["request", "dry-run", written(tmp_path, document(subject=None)), *NOW]) == 1
    assert "subject: is missing" in capfd.readouterr().out


def test_another_version_is_compared_by_address(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, document("ann", "bob", body="Hi {{ user.first_name }}"))
    other = written(tmp_path, {"body": "{% if user.first_name == 'Ann' %}Dear Ann{% else %}Hi Bob{% endif %}"}, "other.json")
    code, lines, _ = answered(capfd, path, "--against", other)
    assert code == 0
    assert [(line["to"], line["changes"]) for line in lines] == [('"Ann Lee" <ann@x.org>', {"text": ["Hi Ann", "Dear Ann"]})]
    assert run(["request", "dry-run", path, "--against", other, *NOW]) == 0
    out = capfd.readouterr().out
    assert "1 of 2 differ" in out
    assert "-Hi Ann\n+Dear Ann" in out


def test_another_version_that_would_be_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, document("ann"))
    code, lines, _ = answered(capfd, path, "--against", written(tmp_path, {"body": "{{ nosuch }}"}, "other.json"))
    assert (code, lines[-1]["reason"]) == (1, "unknown_variable")


def test_the_request_may_come_from_stdin() -> None:
    command = [sys.executable, "-m", "cli.main", "request", "dry-run", "-", "--json", *NOW]
    found = subprocess.run(command, input=json.dumps(document("ann")).encode(), capture_output=True, check=True)
    assert json.loads(found.stdout)["to"] == '"Ann Lee" <ann@x.org>'
