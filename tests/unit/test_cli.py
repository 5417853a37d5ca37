"""The command line itself: what its help shows, numbers that nothing can be, and what its lists hold."""

from __future__ import annotations

import importlib
import inspect
from datetime import UTC, datetime, timedelta

import pytest

from cli.main import COMMANDS, run
from projections import queries
from streams import codec, parked
from streams.errors import UserError
from streams.events import DeadLettered
from streams.settings import Settings
from streams.taken import Taken

BEYOND = str(10**23)
SINGLE = [name for name, (module, _) in COMMANDS.items() if name != "mailgate" and not hasattr(importlib.import_module(module), "app")]


@pytest.mark.parametrize("name", SINGLE)
def test_the_help_of_a_command_is_all_that_its_docstring_says(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    said = inspect.getdoc(importlib.import_module(COMMANDS[name][0]).command)
    assert said is not None
    assert " ".join(said.split()) in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["dead-letters", "show", BEYOND],
        ["dead-letters", "replay", "0", BEYOND],
        ["inbound", "list", "--most", BEYOND],
        ["inbound", "list", "--most", "0"],
        ["bodies", "sweep", "--older-than", BEYOND],
    ],
    ids=" ".join,
)
def test_a_number_out_of_bounds_is_wrong_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capfd.readouterr().err
    assert "Invalid value" in said
    assert "Traceback" not in said


NOON = datetime(2028, 1, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("decision", "decided_at", "moderation", "moderated_at", "waits"),
    [
        ("hold", NOON, None, None, True),
        ("hold", NOON, "approved", LATER, False),  # the router has not done it yet
        ("hold", LATER, "approved", NOON, True),  # a reroute holds it anew: nobody has spoken of that
        ("deliver", LATER, "approved", NOON, False),
        (None, None, None, None, False),
    ],
)
def test_a_mail_waits_for_a_moderator(
    decision: str | None, decided_at: datetime | None, moderation: str | None, moderated_at: datetime | None, waits: bool
) -> None:
    mail = {"decision": decision, "decided_at": decided_at, "moderation": moderation, "moderated_at": moderated_at}
    assert queries.waits_for_moderator(mail) is waits


def test_one_record_that_cannot_be_read_hides_no_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    letter = DeadLettered(
        at=NOON,
        agent="route",
        topic="inbound-mail",
        partition=0,
        offset=7,
        key=b"k",
        value=b"?",
        headers=[],
        reason="undecodable",
        detail="",
    )
    stand = [Taken("dead-letters", 0, offset, b"k", value, [], 0) for offset, value in enumerate([b"garbage", codec.encode(letter)])]
    monkeypatch.setattr(parked, "records_of", lambda *_: iter(stand))
    monkeypatch.setattr(parked, "record_at", lambda *_: stand[0])
    assert [one.offset for one in parked.parked(Settings())] == [1]
    with pytest.raises(UserError, match="offset 0 cannot be read"):
        parked.parked_at(Settings(), 0)
