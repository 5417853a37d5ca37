"""What a pause costs, and what comes of it: nothing moves meanwhile, and each mail goes on, or ends, exactly once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams import topics
from tests.services.installation import Installation, counts
from tests.services.outgoing import document
from tests.services.records import read
from tests.services.until import until

pytestmark = pytest.mark.broker
MANY = 300


def people(request_id: str) -> list[dict[str, Any]]:
    return [{"user_id": f"p{n}", "username": f"p{n}", "email": f"p{n}@{request_id}.example"} for n in range(MANY)]


def on(installation: Installation, names: list[str]) -> int:
    """How many records ever stood on these topics."""
    return sum(len(read(installation.settings.bootstrap, name)) for name in names)


def paused_before_sending(installation: Installation, request_id: str) -> int:
    """A request whose every mail waits, paused. Returns how many records the delay wheel had seen before."""
    installation.submit(document("ann", request_id=f"before-{request_id}", created_at=None))
    installation.finished(f"before-{request_id}")  # the sender works: it can be asked to stop
    with installation.stopped("send.bulk"):
        installation.submit(document(*people(request_id), request_id=request_id, created_at=None, subject=request_id))
        until(lambda: (status := installation.request(request_id)) and status.request["expanded"] == MANY, "it is expanded")
        installation.espmail("request", "pause", request_id)
        until(lambda: (status := installation.request(request_id)) and status.request["state"] == "paused", "it is paused")
        until(lambda: on(installation, ["request-controls"]) and not installation.lag("expand"), "the senders can know")
        waited = on(installation, list(topics.DELAYS_S))
    installation.until(lambda: len(waiting(installation, request_id)) == MANY, "every mail is set aside")
    installation.until(lambda: installation.lag("send.bulk") == 0, "the lane is empty")
    return waited


def waiting(installation: Installation, request_id: str) -> list[Any]:
    return [message for message in read(installation.settings.bootstrap, topics.PAUSED) if message.key() == request_id.encode()]


def test_a_pause_moves_each_mail_once_and_resuming_brings_each_back(installation: Installation) -> None:
    waited = paused_before_sending(installation, "still")
    assert on(installation, list(topics.DELAYS_S)) == waited, "nothing of it turns on the wheel"
    installation.kill("delay")
    installation.espmail("request", "resume", "still")
    status = installation.finished("still")
    assert counts(status) == {"sent": MANY}
    mails = installation.kept(b"\nSubject: still\n")
    assert Counter({recipient: len(each) for recipient, each in mails.items()}) == Counter(one["email"] for one in people("still"))
    assert len(waiting(installation, "still")) == MANY, "none was set aside twice"


def test_cancelling_a_paused_request_ends_each_mail_with_an_outcome(installation: Installation) -> None:
    paused_before_sending(installation, "stopped")
    installation.espmail("request", "cancel", "stopped", "--reason", "rain")
    assert counts(installation.finished("stopped")) == {"cancelled": MANY}
    assert not installation.kept(b"\nSubject: stopped\n")


def test_a_request_that_was_paused_before_it_came_waits_whole(installation: Installation) -> None:
    installation.espmail("request", "pause", "early")
    installation.submit(document("ann", request_id="early", created_at=None, priority="bulk"))
    installation.until(lambda: len(waiting(installation, "early")) == 1, "its record is set aside")
    installation.in_state("early", {"paused"})
    installation.espmail("request", "resume", "early")
    assert counts(installation.finished("early")) == {"sent": 1}


def test_a_request_that_is_paused_until_its_time_is_over_ends_with_an_outcome_for_each(installation: Installation) -> None:
    installation.espmail("request", "pause", "overdue")
    end = datetime.now(UTC) + timedelta(seconds=6)
    installation.submit(document("ann", request_id="overdue", created_at=None, expires_at=end.isoformat(), priority="bulk"))
    installation.until(lambda: len(waiting(installation, "overdue")) == 1, "its record is set aside")
    assert counts(installation.finished("overdue")) == {"expired": 1}
    assert len(waiting(installation, "overdue")) < 3, "it does not come and go"
