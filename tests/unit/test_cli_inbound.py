"""`espmail inbound route`, run as its users run it: arguments, exit codes, what it says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cli.main import run
from tests.services.inbound import WORLD_FILE

MAIL = b"From: Tess <tess@x.org>\nSubject: caf\xe9\nX-Name: caf\xc3\xa9\n\nOne\nTwo\n"
TO = "m123-class@yale.learningu.org"


@pytest.fixture
def eml(tmp_path: Path) -> str:
    path = tmp_path / "mail.eml"
    path.write_bytes(MAIL)
    return str(path)


def route(eml: str, *options: str, to: str = TO, directory: str = str(WORLD_FILE)) -> int:
    return run(["inbound", "route", eml, "--to", to, "--directory", directory, *options])


def test_json(eml: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert route(eml, "--json", "--now", "2026-11-20T10:00:00Z") == 0
    found = json.loads(capfdbinary.readouterr().out)
    assert (found["decision"], found["reason"], found["list"]) == ("deliver", "accepted", {"seq": 20, "handler": "ClassList"})
    message = found["messages"][1]
    assert (message["envelope_from"], message["envelope_to"]) == ("emailbounces@learningu.org", ["tess@x.org"])
    assert message["body_sha256"] == hashlib.sha256(b"One\r\nTwo\r\n").hexdigest()
    assert ["Subject", "[M123] café"] in message["headers"]
    assert ["X-Name", "café"] in message["headers"]
    assert ["Date", "Fri, 20 Nov 2026 10:00:00 +0000"] in message["headers"]


def test_the_null_sender_gets_no_notice(eml: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for null in ("<>", ""):
        assert route(eml, "--json", "--mail-from", null, to="nobody@yale.learningu.org") == 0
        assert json.loads(capfdbinary.readouterr().out)["decision"] == "drop"
    assert route(eml, "--json", to="nobody@yale.learningu.org") == 0
    found = json.loads(capfdbinary.readouterr().out)
    assert (found["decision"], found["list"], found["messages"][0]["envelope_from"]) == ("notice", None, "")


def test_a_table_for_people(eml: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert route(eml) == 0
    shown = capfd.readouterr().out
    assert "deliver: accepted (rule 20, ClassList)" in shown
    assert "tess@x.org" in shown


def test_a_foreign_address_is_refused(eml: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert route(eml, "--json", to="x@gmail.com") == 1
    assert json.loads(capfdbinary.readouterr().out)["reason"] == "relay_denied"


def test_a_bad_rule_is_warned_of(eml: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    document = json.loads(WORLD_FILE.read_text(encoding="utf-8"))
    document["email_lists"].append({"seq": 5, "regex": "(", "handler": "UserEmail"})
    place = tmp_path / "directory.json"
    place.write_text(json.dumps(document), encoding="utf-8")
    assert route(eml, "--json", directory=str(place)) == 0
    assert "warning: email list 5: regex '(' cannot be used" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"eml": "nowhere.eml"}, "cannot read the mail"),
        ({"directory": "nowhere.json"}, "cannot read the directory"),
        ({"directory": "mail"}, "is no JSON document"),
        ({"now": "noon"}, "--now takes an instant like 2026-11-20T10:00:00Z"),
        ({"now": "2026-11-20T10:00:00"}, "--now needs a zone"),
        ({"now": "0001-01-01T00:00:00+14:00"}, "--now 0001-01-01T00:00:00+14:00 is out of range"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(options: dict[str, str], said: str, eml: str, capfd: pytest.CaptureFixture[str]) -> None:
    directory = eml if options.get("directory") == "mail" else options.get("directory", str(WORLD_FILE))
    now = ["--now", options["now"]] if "now" in options else []
    assert route(options.get("eml", eml), *now, directory=directory) == 2
    error = capfd.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
