"""`espmail doctor` on real servers: nothing wrong, and each thing wrong by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from sqlalchemy import insert

from deploy.checkup import check_up
from gateway.keys import NAME, load_keyring
from projections.database import ensure_schema, open_engine
from projections.tables import dead_letter, text_of_email
from streams.settings import Settings
from tests.conftest import ROOT
from tests.services.env import environment
from tests.services.ports import HOST, free_ports

pytestmark = pytest.mark.broker


@pytest.fixture
def mta() -> Iterator[str]:
    server = Controller(Sink(), hostname=HOST, port=free_ports())
    server.start()
    yield f"{HOST}:{server.port}"
    server.stop()


@pytest.fixture
def healthy(fresh_topics: Settings, mta: str) -> Settings:
    """An installation with nothing wrong."""
    settings = replace(fresh_topics, mta=mta)
    engine = open_engine(settings.database_url)
    ensure_schema(engine)
    engine.dispose()
    load_keyring(settings.var)
    return settings


def doctor(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", "doctor", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(settings), capture_output=True, text=True, timeout=60, check=False)


def wrong(settings: Settings) -> dict[str, str]:
    return {finding.name: finding.text for finding in check_up(settings) if not finding.ok}


def test_nothing_wrong_is_exit_0(healthy: Settings) -> None:
    run = doctor(healthy, "--json")
    findings = [json.loads(line) for line in run.stdout.splitlines()]
    assert [finding["name"] for finding in findings if not finding["ok"]] == []
    assert (run.returncode, run.stderr, len(findings)) == (0, "", 8)


def test_what_is_wrong_is_named_with_what_to_do_and_exit_1(healthy: Settings) -> None:
    run = doctor(replace(healthy, mta=f"{HOST}:{free_ports()}"))
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("WRONG")]
    assert line.startswith("WRONG mta: no MTA answers at ")
    assert line.endswith("; start it, or set ESPMAIL_MTA")
    assert run.returncode == 1


def test_a_broker_that_is_down_is_wrong_and_the_rest_is_still_looked_at(healthy: Settings) -> None:
    assert set(wrong(replace(healthy, kafka=f"{HOST}:{free_ports()}"))) == {"kafka", "topics"}


def test_topics_that_differ_are_wrong(healthy: Settings) -> None:
    assert "`espmail topics plan` shows how" in wrong(replace(healthy, partitions=7))["topics"]


def test_a_database_that_is_not_there_is_wrong_and_stays_so(healthy: Settings, tmp_path: Path) -> None:
    missing = replace(healthy, database=f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert "is not there yet" in wrong(missing)["database"]
    assert not (tmp_path / "other.sqlite").exists()


@pytest.mark.postgres
def test_a_database_without_tables_is_wrong(healthy: Settings, postgres_url: str) -> None:
    assert "at version none" in wrong(replace(healthy, database=postgres_url))["database"]


def test_a_database_that_does_not_answer_is_wrong_and_its_password_stays_hidden(healthy: Settings) -> None:
    down = replace(healthy, database=f"postgresql://u:canary@{HOST}:{free_ports()}/x")
    assert "cannot be used" in wrong(down)["database"]
    assert "canary" not in wrong(down)["database"]
    assert "canary" not in doctor(down, "--settings").stdout


def test_doubts_that_wait_are_wrong_and_dead_letters_are_told_of(healthy: Settings) -> None:
    engine = open_engine(healthy.database_url)
    with engine.begin() as connection:
        letter = {"topic": "t", "partition": 0, "offset": 1, "agent": "send.bulk", "letter_offset": 7}
        connection.execute(insert(dead_letter), letter)
    assert [finding.text for finding in check_up(healthy) if finding.name == "left over"] == [
        "no mails in doubt; dead letters that were not replayed: 1 (`espmail dead-letters list`)"
    ]
    with engine.begin() as connection:
        connection.execute(insert(text_of_email), {"email_id": "e1", "status": "in_doubt"})
    engine.dispose()
    assert wrong(healthy)["left over"].startswith("mails in doubt: 1; `espmail doubts list`")


def test_a_key_that_others_can_read_is_wrong(healthy: Settings) -> None:
    (healthy.var / NAME).chmod(0o644)
    assert "chmod 600" in wrong(healthy)["unsubscribe key"]


def test_settings_are_shown_with_what_they_mean(healthy: Settings) -> None:
    shown = {line["name"]: line for line in map(json.loads, doctor(healthy, "--settings", "--json").stdout.splitlines())}
    assert shown["ESPMAIL_MTA"]["value"] == healthy.mta
    assert all(setting["text"] for setting in shown.values())


def test_an_mta_without_a_port_is_wrong(healthy: Settings) -> None:
    assert (
        wrong(replace(healthy, mta="mail.example.org"))["mta"] == "ESPMAIL_MTA takes host:port, several with commas, not 'mail.example.org'"
    )


@pytest.mark.parametrize(("name", "value"), [("ESPMAIL_WINDOW", "many"), ("ESPMAIL_WIDOW", "64")])
def test_a_setting_that_cannot_be_used_is_one_line_and_exit_2(name: str, value: str) -> None:
    command = [sys.executable, "-m", "cli.main", "doctor"]
    run = subprocess.run(command, cwd=ROOT, env=environment(Settings(), **{name: value}), capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stdout == ""
    assert name in run.stderr
    assert len(run.stderr.splitlines()) == 1
