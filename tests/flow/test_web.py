"""The HTTP gateway in a whole installation: a request by HTTP, approved, read, and left by the link in the mail itself."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.message import Message
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.http.token import NAME
from streams.domain.verp import read_verp
from streams.settings import Settings
from tests.services.installation import Installation, installed
from tests.services.outgoing import document
from tests.services.ports import HOST, free_ports

pytestmark = pytest.mark.broker
ANSWERS_S = 30


@pytest.fixture(scope="module")
def installation(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """With the HTTP gateway, a bounce address for each mail, and approval for requests to more than one person."""
    with installed(kafka, tmp_path_factory.mktemp("web"), web_port=free_ports(), verp=1, approval_over=1) as one:
        yield one


@pytest.fixture
def api(installation: Installation) -> Iterator[httpx.Client]:
    token = (installation.settings.var / NAME).read_text().strip()
    url = f"http://{HOST}:{installation.settings.web_port}"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=ANSWERS_S) as client:
        yield client


def mail_of(installation: Installation, recipient: str, *holding: bytes) -> Message:
    """The one mail that the capture MTA has for somebody."""
    (raw,) = installation.until(lambda: installation.kept(*holding).get(recipient), f"{recipient} has the mail") or []
    return email.message_from_bytes(raw)


def test_a_request_to_many_waits_for_approval_and_its_mail_can_be_left(installation: Installation, api: httpx.Client) -> None:
    asked = document("ann", "cy", request_id="r1", created_at=None, public=True, subject="First news of {{ user.first_name }}")
    assert api.post("/v1/requests", json=asked).status_code == 202
    installation.in_state("r1", {"awaiting_approval"})
    assert api.get("/email/r1").status_code == 404
    assert api.post("/v1/requests/r1/approve", json={"by": "ada"}).status_code == 202
    installation.finished("r1")
    status = api.get("/v1/requests/r1").json()
    assert (status["state"], status["counts"]["sent"], status["approved_by"]) == ("finished", 2, "ada")
    assert "First news of [first name]" in api.get("/email/r1").text

    link = re.fullmatch("<(.+)>", mail_of(installation, "ann@x.org", b"First news of Ann")["List-Unsubscribe"])
    assert link is not None
    path = urlsplit(link[1]).path
    with httpx.Client(base_url=api.base_url, timeout=ANSWERS_S) as program:
        assert program.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        installation.until(lambda: "This address is unsubscribed" in program.get(path).text, "the word has gone round")

    assert api.post("/v1/requests", json=document("ann", request_id="r2", created_at=None, subject="More news")).status_code == 202
    installation.finished("r2")
    # Left out at expansion, or stopped at the sender if that was told first: never sent.
    (row,) = installation.emails("r2")
    assert (row["status"], row["reason"], row["detail"]) in {("skipped", "suppressed", "unsubscribed"), ("suppressed", "unsubscribed", "")}


def test_160_a_test_mail_is_recorded_and_is_none_of_the_requests(installation: Installation) -> None:
    path = installation.write(document("ann", "cy", request_id="r4", subject="Trial for {{ user.name }}"))
    answer = installation.espmail("request", "test", path, "--to", "me@x.org", "--user", "3", "--json").lines[0]
    mail = mail_of(installation, "me@x.org", b"Trial for")
    assert (mail["Subject"], mail["To"], mail["List-Unsubscribe"]) == ("[TEST] Trial for Cy Ng", "me@x.org", None)
    assert installation.until(lambda: "EmailSent" in installation.timeline(answer["email_id"]), "it is recorded as sent")
    assert "EmailSent" in installation.espmail("request", "email", answer["email_id"]).out
    assert installation.request("r4") is None


def test_a_preview_shows_one_recipient(installation: Installation) -> None:
    path = installation.write(document("ann", "cy", request_id="r5", subject="For {{ user.name }}"))
    (shown,) = installation.espmail("request", "preview", path, "--user", "3", "--json").lines
    assert (shown["subject"], shown["to"]) == ("For Cy Ng", '"Cy Ng" <cy@x.org>')
    assert read_verp(shown["envelope_from"]) == shown["email_id"]
    assert "For Cy Ng" in installation.espmail("request", "preview", path, "--user", "3").out
    assert installation.espmail("request", "preview", path, "--user", "99", "--json", expect=1).lines[0]["reason"] == "unknown_user"
