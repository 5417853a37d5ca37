"""What may be said of a request after it was handed in, and what may be wrong with one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.publishing import publish
from streams import topics
from streams.domain.outgoing.request import parse_request
from streams.publisher import Record
from streams.settings import Settings
from tests.services.inbound import world
from tests.services.installation import Installation, counts, installed
from tests.services.outgoing import document

MANY = 200
RATE = 40.0  # mails a second: MANY of them take five seconds
SECONDS = 5.0  # "within seconds"


@pytest.fixture(scope="module")
def installation(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One that sends slowly, so that there is something to stop."""
    with installed(kafka, tmp_path_factory.mktemp("installation"), rate=RATE) as one:
        one.load(world())
        yield one


def people(number: int = MANY) -> list[dict[str, Any]]:
    return [{"user_id": f"p{n}", "username": f"p{n}", "email": f"p{n}@many.example"} for n in range(number)]


def to_many(request_id: str, **changes: Any) -> dict[str, Any]:
    return document(*people(), request_id=request_id, created_at=None, subject=request_id, **changes)


def to_one(request_id: str, **changes: Any) -> dict[str, Any]:
    return document("ann", request_id=request_id, created_at=None, subject=request_id, **changes)


def kept(installation: Installation, request_id: str) -> Counter[str]:
    """How many mails of the request each recipient has."""
    mails = installation.kept(f"\nSubject: {request_id}\n".encode())
    return Counter({recipient: len(each) for recipient, each in mails.items()})


def some_are_sent(installation: Installation, request_id: str) -> None:
    installation.until(lambda: kept(installation, request_id), f"the first mails of {request_id} are out")


def sent_to(installation: Installation, request_id: str) -> Counter[str]:
    return Counter(row["recipient"] for row in installation.emails(request_id) if row["status"] == "sent")


def test_cancelling_stops_within_seconds_what_was_not_handed_over(installation: Installation) -> None:
    installation.submit(to_many("cancel-1"))
    some_are_sent(installation, "cancel-1")
    installation.espmail("request", "cancel", "cancel-1", "--reason", "wrong date")
    stopped_at = installation.until(lambda: quiet(installation, "cancel-1"), "nothing more of it is handed over", SECONDS)
    status = installation.finished("cancel-1")
    assert 0 < status.counts["sent"] == stopped_at < MANY
    assert counts(status) == {"sent": status.counts["sent"], "cancelled": MANY - status.counts["sent"]}
    assert kept(installation, "cancel-1") == sent_to(installation, "cancel-1")
    assert (status.request["cancel_reason"], status.request["state"]) == ("wrong date", "finished")


def test_a_paused_request_waits_and_goes_on_where_it_was(installation: Installation) -> None:
    installation.submit(to_many("pause-1"))
    some_are_sent(installation, "pause-1")
    installation.espmail("request", "pause", "pause-1")
    installation.in_state("pause-1", {"paused"})
    assert installation.until(lambda: quiet(installation, "pause-1"), "nothing more of it is handed over", SECONDS) < MANY
    installation.espmail("request", "resume", "pause-1")
    assert counts(installation.finished("pause-1")) == {"sent": MANY}
    assert kept(installation, "pause-1") == Counter(person["email"] for person in people())


def quiet(installation: Installation, request_id: str) -> int:
    """How many mails there are, if in the time in which the rate allows ten more no other came; else 0."""
    before = kept(installation, request_id).total()
    end = time.monotonic() + 10 / RATE
    while time.monotonic() < end:
        if kept(installation, request_id).total() != before:
            return 0
    return before


def test_an_urgent_mail_passes_the_bulk(installation: Installation) -> None:
    installation.submit(to_many("bulk-1"))
    some_are_sent(installation, "bulk-1")
    installation.submit(to_one("urgent-1", priority="urgent"))
    urgent = installation.finished("urgent-1")
    bulk = installation.finished("bulk-1")
    assert urgent.finished_at < bulk.finished_at
    assert bulk.counts["sent"] == MANY


def test_a_request_that_needs_approval_waits_for_it(installation: Installation) -> None:
    installation.submit(to_one("approve-1", needs_approval=True))
    installation.in_state("approve-1", {"awaiting_approval"})
    assert "espmail request approve approve-1" in installation.espmail("request", "status", "approve-1").out
    assert not kept(installation, "approve-1")
    installation.espmail("request", "approve", "approve-1", "--by", "ada")
    status = installation.finished("approve-1")
    assert (counts(status), status.request["approved_by"]) == ({"sent": 1}, "ada")


def test_an_approval_outlasts_a_pause(installation: Installation) -> None:
    due = datetime.now(UTC) + timedelta(seconds=4)
    installation.submit(to_one("approve-2", needs_approval=True, not_before=due.isoformat()))
    for word in ("approve", "pause", "resume"):
        installation.espmail("request", word, "approve-2")
    assert counts(installation.finished("approve-2")) == {"sent": 1}


def test_approving_a_paused_request_does_not_let_it_go(installation: Installation) -> None:
    installation.submit(to_one("approve-3", needs_approval=True))
    installation.in_state("approve-3", {"awaiting_approval"})
    for word in ("pause", "approve"):
        installation.espmail("request", word, "approve-3")
    installation.in_state("approve-3", {"paused"})
    installation.submit(to_one("after-approve-3"))
    installation.finished("after-approve-3")
    assert not kept(installation, "approve-3")
    installation.espmail("request", "resume", "approve-3")
    assert counts(installation.finished("approve-3")) == {"sent": 1}


def test_a_request_that_nobody_approves_in_its_time_is_rejected(installation: Installation) -> None:
    end = datetime.now(UTC) + timedelta(seconds=10)
    installation.submit(to_one("approve-4", needs_approval=True, expires_at=end.isoformat()))
    installation.in_state("approve-4", {"awaiting_approval"})
    status = installation.finished("approve-4")
    assert (status.request["state"], status.request["reason"], counts(status)) == ("rejected", "expired", {})
    installation.espmail("request", "approve", "approve-4")
    installation.submit(to_one("after-approve-4"))
    installation.finished("after-approve-4")
    told = installation.until(lambda: installation.kept(b"Nobody got your message", b"Request: approve-4"), "its people are told")
    assert {recipient: len(mails) for recipient, mails in told.items()}["ada@x.org"] == 1
    assert not kept(installation, "approve-4")


def test_a_request_that_was_approved_in_its_time_is_not_rejected_afterwards(installation: Installation) -> None:
    end = datetime.now(UTC) + timedelta(seconds=20)
    installation.submit(to_one("approve-5", needs_approval=True, expires_at=end.isoformat()))
    installation.in_state("approve-5", {"awaiting_approval"})
    installation.espmail("request", "approve", "approve-5")
    installation.finished("approve-5")
    came_back = end + timedelta(seconds=15)
    installation.until(lambda: datetime.now(UTC) > came_back, "its record has come round once more")
    installation.submit(to_one("after-approve-5"))
    installation.finished("after-approve-5")
    status = installation.finished("approve-5")
    assert (status.request["state"], counts(status)) == ("finished", {"sent": 1})


def test_a_request_waits_for_its_time(installation: Installation) -> None:
    due = datetime.now(UTC) + timedelta(seconds=4)
    installation.submit(to_one("later-1", not_before=due.isoformat()))
    waiting = installation.in_state("later-1", {"scheduled"})
    assert waiting.request["due_at"] == due
    assert f"due at {due:%Y-%m-%d %H:%M:%S} UTC" in installation.espmail("request", "status", "later-1").out
    status = installation.finished("later-1")
    assert status.request["expanded_at"] >= due
    assert counts(status) == {"sent": 1}


def test_mail_that_would_come_too_late_is_not_sent(installation: Installation) -> None:
    """The rate lets half of them out before the request expires."""
    end = datetime.now(UTC) + timedelta(seconds=MANY / RATE / 2)
    installation.submit(to_many("late-1", expires_at=end.isoformat()))
    status = installation.finished("late-1")
    assert counts(status) == {"sent": status.counts["sent"], "expired": MANY - status.counts["sent"]}
    assert 0 < status.counts["sent"] < MANY
    assert kept(installation, "late-1") == sent_to(installation, "late-1")


def test_the_same_request_twice_is_one(installation: Installation) -> None:
    request = to_one("twice-1")
    installation.submit(request)
    first = installation.finished("twice-1")
    installation.submit(request)
    installation.submit(to_one("after-twice-1"))
    installation.finished("after-twice-1")
    second = installation.finished("twice-1")
    assert (counts(second), second.request["expanded"]) == (counts(first), 1)
    assert kept(installation, "twice-1") == {"ann@x.org": 1}


def test_another_request_under_a_taken_id_changes_nothing(installation: Installation) -> None:
    installation.submit(to_one("taken-1"))
    installation.finished("taken-1")
    installation.submit(to_one("taken-1", body="something else"))
    installation.until(lambda: conflicted(installation, "taken-1"), "the conflict is recorded")
    status = installation.finished("taken-1")
    assert counts(status) == {"sent": 1}
    assert not installation.kept(b"something else")
    assert "taken" in installation.espmail("request", "status", "taken-1").out


def test_a_taken_id_with_other_people_changes_nothing(installation: Installation) -> None:
    installation.submit(to_one("people-1"))
    installation.finished("people-1")
    installation.submit({**to_one("people-1"), "recipients": document("ann", "bob")["recipients"]})
    installation.until(lambda: conflicted(installation, "people-1"), "the conflict is recorded")
    assert counts(installation.finished("people-1")) == {"sent": 1}
    assert kept(installation, "people-1") == {"ann@x.org": 1}


def conflicted(installation: Installation, request_id: str) -> bool:
    status = installation.request(request_id)
    return status is not None and status.request["conflicted_at"] is not None


def test_a_request_that_is_refused_at_the_door_names_every_fault(installation: Installation) -> None:
    broken = document("ann", request_id="refused-1", subject="Hi {{ nobody.knows }}", body="{% include 'x' %}", send_to="everybody")
    answer = installation.submit(broken, expect=1)
    assert "refused; nothing was handed in" in answer.err
    for fault in ("subject", "nobody.knows", "body", "include", "send_to", "everybody"):
        assert fault in answer.err
    assert installation.request("refused-1") is None


def test_a_request_that_is_refused_behind_the_door_shows_every_fault(installation: Installation) -> None:
    """A site that writes to the topic itself, past every check; and a good request right behind it (spec, example 77)."""
    sound = parse_request(to_one("poison-1"), datetime.now(UTC)).request
    poison = replace(sound, subject="Hi {{ nobody.knows }}", body="{% include 'x' %}", send_to="everybody")
    publish(installation.settings, [Record.of(topics.MESSAGE_REQUESTS, "poison-1", poison)])
    installation.submit(to_one("beside-poison-1"))
    status = installation.finished("poison-1")
    assert (status.request["state"], status.request["expanded"]) == ("rejected", 0)
    problems = "\n".join(status.request["problems"])
    for fault in ("nobody.knows", "include", "everybody"):
        assert fault in problems
    assert counts(installation.finished("beside-poison-1")) == {"sent": 1}


def test_a_request_to_nobody_ends_at_once(installation: Installation) -> None:
    """Spec, example 79."""
    installation.submit(document(request_id="nobody-1", created_at=None))
    status = installation.finished("nobody-1")
    assert (status.request["state"], status.request["expanded"], counts(status)) == ("no_recipients", 0, {})


@pytest.mark.parametrize("word", ["cancel", "pause", "resume", "approve"])
def test_a_word_on_a_request_that_ended_changes_nothing(installation: Installation, word: str) -> None:
    request_id = f"ended-{word}"
    installation.submit(to_one(request_id))
    installation.finished(request_id)
    assert "is finished already, so this changes nothing" in installation.espmail("request", word, request_id).err
    installation.submit(to_one(f"after-{request_id}"))
    installation.finished(f"after-{request_id}")
    assert counts(installation.finished(request_id)) == {"sent": 1}


def test_a_word_on_a_request_that_nobody_knows_says_so(installation: Installation) -> None:
    assert "no request misspelt is known" in installation.espmail("request", "cancel", "misspelt").err


def test_emails_of_a_status_that_there_is_not_are_wrong_usage(installation: Installation) -> None:
    assert "in_doubt" in installation.espmail("request", "status", "whatever", "--only", "bounced", expect=2).err
