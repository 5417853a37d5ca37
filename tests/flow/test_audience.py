"""Big audiences: killed in the middle, with urgent requests beside them, cancelled, paused; and files attached to a request."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.publishing import publish
from streams import topics
from streams.domain.outgoing.policy import Policy
from streams.settings import Settings
from streams.submission import submission
from tests.services.agents import running
from tests.services.audience import PATIENCE_S, audience, everybody, expand_killed, expanded
from tests.services.installation import Installation, counts, installed
from tests.services.mails import committed, events
from tests.services.outgoing import document
from tests.services.until import until

PEOPLE = 20_000
FEW = 2500  # three records
BACKLOG = 10_000
URGENT = 10
RATE = 100.0  # bulk mails a second: the backlog outlasts the test
SECONDS = 5.0  # "within seconds"


def test_expansion_that_is_killed_in_the_middle_queues_everybody_once(fresh_topics: Settings, tmp_path: Path) -> None:
    assert expand_killed(replace(fresh_topics, session_timeout=6.0), tmp_path, PEOPLE, kills=2) == everybody(PEOPLE)


def test_further_records_wait_for_the_first_and_for_no_other(fresh_topics: Settings) -> None:
    """A submission that broke off expands nothing until it is completed; another content under the same id never does."""
    settings = replace(fresh_topics, session_timeout=6.0)
    people = [{"user_id": f"p{n}", "email": f"p{n}@many.example"} for n in range(FEW)]
    ours, others = (
        submission(document(*people, created_at=None, body=body), datetime.now(UTC), Policy()).records for body in ("ours", "others")
    )
    with running(settings, "expand"), running(settings, "expand.bulk"), running(settings, "delay"):
        publish(settings, [*ours[1:], *others[1:]])
        until(lambda: taken_by_bulk(settings) == 4, "further records without a first were looked at", PATIENCE_S)
        assert expanded(settings) == {}
        publish(settings, ours[:1])
        until(lambda: len(expanded(settings)) == len(ours), "what was completed is expanded", PATIENCE_S)
        until(lambda: taken_by_bulk(settings) >= 9, "each came by once more", PATIENCE_S)
    queued = {one.email_id: one for one in events(settings, topics.EMAILS_BULK)}
    assert len(queued) == FEW
    assert {one.content.text for one in queued.values()} == {"ours"}


def taken_by_bulk(settings: Settings) -> int:
    """How many records expand.bulk has acknowledged."""
    return sum(committed(settings, f"{settings.app}.expand.bulk", topics.MESSAGE_REQUESTS_BULK).values())


@pytest.fixture(scope="module")
def installation(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One that sends slowly, so that there is something to stop and to overtake."""
    with installed(kafka, tmp_path_factory.mktemp("installation"), rate=RATE) as one:
        yield one


def submit_many(installation: Installation, request_id: str, number: int) -> None:
    installation.espmail("request", "submit", *audience(installation.folder, request_id, number))


def sent(installation: Installation, request_id: str) -> int:
    status = installation.request(request_id)
    return status.counts["sent"] if status else 0


def handed_over(installation: Installation, request_id: str) -> int:
    """How many mails of the request the MTA has."""
    return sum(len(mails) for mails in installation.kept(f"\nSubject: {request_id}\n".encode()).values())


def is_quiet(installation: Installation, request_id: str) -> bool:
    """Whether the MTA gets no more of it in the time in which the rate allows twenty."""
    before = handed_over(installation, request_id)
    try:
        installation.until(lambda: handed_over(installation, request_id) != before, "another mail", 20 / RATE)
    except AssertionError:
        return True
    return False


def test_urgent_mail_does_not_wait_for_a_bulk_backlog(installation: Installation) -> None:
    submit_many(installation, "backlog-1", BACKLOG)
    installation.until(lambda: sent(installation, "backlog-1"), "the backlog moves")
    for number in range(URGENT):
        installation.submit(document("ann", request_id=f"urgent-{number}", created_at=None, priority="urgent"))
    for number in range(URGENT):
        assert counts(installation.finished(f"urgent-{number}")) == {"sent": 1}
    assert sent(installation, "backlog-1") < BACKLOG
    installation.espmail("request", "cancel", "backlog-1")


def test_cancelling_a_big_request_stops_it_within_seconds(installation: Installation) -> None:
    submit_many(installation, "cancel-1", PEOPLE)
    installation.until(lambda: handed_over(installation, "cancel-1"), "the first mails are out")
    installation.espmail("request", "cancel", "cancel-1", "--reason", "wrong date")
    installation.until(lambda: is_quiet(installation, "cancel-1"), "nothing more of it is handed over", SECONDS)
    status = installation.in_state("cancel-1", {"cancelled", "finished"})
    assert 0 < handed_over(installation, "cancel-1") < PEOPLE
    ended = installation.until(lambda: all_ended(installation, "cancel-1"), "every mail that was expanded has ended", 100)
    assert ended == {"sent": handed_over(installation, "cancel-1"), "cancelled": sum(ended.values()) - ended["sent"]}
    assert status.request["cancel_reason"] == "wrong date"


def test_pausing_a_big_request_holds_it_back_within_seconds(installation: Installation) -> None:
    submit_many(installation, "pause-1", PEOPLE)
    installation.until(lambda: handed_over(installation, "pause-1"), "the first mails are out")
    installation.espmail("request", "pause", "pause-1")
    installation.until(lambda: is_quiet(installation, "pause-1"), "nothing more of it is handed over", SECONDS)
    before = handed_over(installation, "pause-1")
    installation.espmail("request", "resume", "pause-1")
    installation.until(lambda: handed_over(installation, "pause-1") > before, "it goes on")
    installation.espmail("request", "cancel", "pause-1")
    assert installation.until(lambda: all_ended(installation, "pause-1"), "every mail that was expanded has ended", 100)


def all_ended(installation: Installation, request_id: str) -> dict[str, int]:
    """The request's counts, if each mail that was expanded was sent or cancelled; else nothing."""
    status = installation.request(request_id)
    assert status is not None
    found = counts(status)
    return found if set(found) <= {"sent", "cancelled"} and sum(found.values()) == status.request["expanded"] else {}


def test_files_named_by_path_arrive_whole(installation: Installation) -> None:
    files = {"map.pdf": b"%PDF-1.7\r\n\0\xff" * 9000, "logo.png": bytes(range(256)) * 300}
    for name, data in files.items():
        (installation.folder / name).write_bytes(data)
    attachments = [{"path": "map.pdf"}, {"path": "logo.png", "content_type": "image/png", "content_id": "logo"}]
    request = document("ann", request_id="files-1", created_at=None, body='<html><img src="cid:logo"></html>', attachments=attachments)
    installation.submit(request)
    assert counts(installation.finished("files-1")) == {"sent": 1}
    ((mail,),) = installation.kept(b"logo.png").values()
    message = email.message_from_bytes(mail, policy=email.policy.default)
    found = {part.get_filename(): part.get_payload(decode=True) for part in message.walk() if part.get_filename()}
    assert found == files
    assert [part["Content-ID"] for part in message.walk() if part["Content-ID"]] == ["<logo>"]
