"""`espmail project` and `espmail projections`, as a person meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from projections import database
from projections.database import DatabaseUnusable
from streams import metrics, topics
from streams.settings import Settings
from tests.services.env import environment
from tests.services.ports import HOST, free_ports
from tests.services.projecting import catch_up, mails, send, sent
from tests.services.scraping import scraped
from tests.services.until import until

pytestmark = pytest.mark.broker


# -- the commands ----------------------------------------------------------------------------------------------------


def espmail(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, env=environment(settings), capture_output=True, text=True, timeout=60, check=False)


def test_the_commands_on_a_fresh_installation(settings: Settings) -> None:
    history = mails(0, 10)
    history.add_bytes(topics.DELIVERIES, "p1", b"junk")
    send(settings, history)
    done = espmail(settings, "project", "--until-caught-up", "--json")
    assert (done.returncode, json.loads(done.stdout)["caught_up"]) == (0, True), done.stderr
    again = espmail(settings, "project", "--until-caught-up", "--json")  # the dead letter that the first run wrote
    assert json.loads(again.stdout)["records"] in {0, 1}
    verified = espmail(settings, "projections", "verify", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["equal"]) == (0, True), verified.stderr
    assert json.loads(espmail(settings, "projections", "rebuild", "--json").stdout)["changed"] == 0


def test_a_difference_is_an_exit_code(engine: Engine, settings: Settings) -> None:
    send(settings, mails(0, 3))
    catch_up(engine, settings)
    with engine.begin() as connection:
        connection.execute(text("UPDATE text_of_email SET subject = 'other' WHERE user_id = 'p1'"))
    verified = espmail(settings, "projections", "verify")
    assert verified.returncode == 1
    assert "subject is 'other', should be 'For p1'" in verified.stdout


def test_sigterm_ends_it_with_everything_folded_committed(engine: Engine, settings: Settings) -> None:
    send(settings, mails(0, 100))
    child = subprocess.Popen([sys.executable, "-m", "cli.main", "project"], env=environment(settings), stdout=subprocess.PIPE, text=True)
    until(lambda: sent(engine) == 100, "everything is folded")
    os.kill(child.pid, signal.SIGTERM)
    output, _ = child.communicate(timeout=20)
    assert child.returncode == 0
    assert "folded 300 records" in output


def test_metrics_say_how_far_it_is(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    served = replace(settings, metrics_port=free_ports() - metrics.SERVED.index("project"))
    send(served, mails(0, 100))
    child = subprocess.Popen([sys.executable, "-m", "cli.main", "project"], env=environment(served), stdout=subprocess.DEVNULL)
    try:
        until(lambda: sent(engine) == 100, "everything is folded")
        found = until(lambda: all_folded(served), "the metrics say so too")
        assert found["espmail_projector_folded_total"] == 300
        assert found["espmail_projector_last_commit_timestamp_seconds"] > 0
        second = espmail(served, "project")
        assert (second.returncode, second.stdout, second.stderr.count("\n")) == (1, "", 1)
        assert "choose another ESPMAIL_METRICS_PORT" in second.stderr
    finally:
        child.terminate()
        assert child.wait(60) == 0


def all_folded(settings: Settings) -> dict[str, float]:
    """What is served, once the deliveries' partitions are known and nothing is left of them."""
    try:
        found = scraped(settings, "project")
    except OSError:  # not up yet
        return {}
    lags = [value for name, value in found.items() if name.startswith("espmail_projector_lag") and topics.DELIVERIES in name]
    return found if lags and not any(lags) and found["espmail_projector_folded_total"] >= 300 else {}


def test_a_database_that_is_down_is_one_clear_line(fresh_topics: Settings) -> None:
    url = f"postgresql://espmail:hunter2@{HOST}:{free_ports()}/espmail"
    done = espmail(replace(fresh_topics, database=url), "project", "--until-caught-up")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be used" in done.stderr
    assert "ESPMAIL_DATABASE" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("url", ["nonsense", "mysql://x@y/z", "sqlite:////dev/null/x/y.sqlite"])
def test_a_database_url_that_cannot_be_used_is_one_clear_line(fresh_topics: Settings, url: str) -> None:
    with pytest.raises(DatabaseUnusable) as told:
        database.ensure_schema(database.open_engine(url))
    assert len(str(told.value).splitlines()) == 1


def test_a_broker_that_is_down_is_one_clear_line(tmp_path: Path) -> None:
    done = espmail(Settings(kafka=f"{HOST}:{free_ports()}", var=tmp_path), "project", "--until-caught-up")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no Kafka answers" in done.stderr
