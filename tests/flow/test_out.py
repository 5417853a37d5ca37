"""A request from the command line to the Maildirs and the tables."""

from __future__ import annotations

import email
import email.policy
from collections import Counter
from typing import Any

from tests.services.installation import Installation, counts
from tests.services.outgoing import document


def everybody(request_id: str, **changes: Any) -> dict[str, Any]:
    """A request to all people of spec 9, in every role they have."""
    people = ("ann", "bob", "cy", "dee", "eve", "ina")
    return document(*people, request_id=request_id, send_to="send_to_self_and_guardian_and_emergency", created_at=None, **changes)


def test_each_address_gets_one_mail_or_is_listed_with_the_reason(installation: Installation) -> None:
    installation.submit(everybody("out-1", subject="For {{ user.name }}", body="Dear {{ user.first_name }}"))
    status = installation.finished("out-1")
    assert status.request["state"] == "finished"
    sent = Counter(row["recipient"] for row in installation.emails("out-1") if row["status"] == "sent")
    assert sent == {"ann@x.org": 1, "gina@x.org": 2, "emmy@x.org": 1, "bob@x.org": 1, "cy@x.org": 1, "eve@x.org": 1}
    assert {recipient: len(mails) for recipient, mails in installation.kept(b"Dear ").items()} == sent
    skipped = {(row["user_id"], row["reason"]) for row in installation.emails("out-1") if row["status"] == "skipped"}
    assert skipped == {("4", "no_address"), ("6", "inactive")}
    assert counts(status) == {"skipped": len(skipped), "sent": sent.total()}


def test_what_the_mta_gets_is_what_the_dry_run_showed(installation: Installation) -> None:
    request = document("ann", request_id="out-2", subject="Für {{ user.name }}", body="<html><p>Ünï {{ user.name }}</p></html>")
    path = installation.write({**request, "created_at": None})
    (shown,) = installation.espmail("request", "dry-run", path, "--json").lines
    installation.espmail("request", "submit", path)
    installation.finished("out-2")
    (mail,) = installation.kept(shown["email_id"].encode())["ann@x.org"]
    parsed = email.message_from_bytes(mail, policy=email.policy.default)
    assert parsed["subject"] == shown["subject"]
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().rstrip("\n") == shown["text"].rstrip("\n")
    assert "Ünï Ann Lee" in html.get_content()


def test_the_timeline_of_an_email_names_everything_that_happened(installation: Installation) -> None:
    installation.submit(document("ann", request_id="out-3", created_at=None))
    installation.finished("out-3")
    (row,) = installation.emails("out-3")
    assert installation.timeline(row["email_id"]) == ["EmailQueued", "EmailAttempting", "EmailSent"]
    assert (row["attempts"], row["last_reply"], row["user_id"]) == (1, "250 2.0.0 kept", "1")


def test_the_command_shows_the_request_its_counts_and_its_emails(installation: Installation) -> None:
    installation.submit(document("ann", "dee", request_id="out-4", created_at=None))
    installation.finished("out-4")
    head, *emails = installation.espmail("request", "status", "out-4", "--emails", "--json").lines
    assert (head["state"], head["counts"]["sent"], head["counts"]["skipped"]) == ("finished", 1, 1)
    assert {(row["status"], row["reason"]) for row in emails} == {("sent", ""), ("skipped", "no_address")}
    (only,) = installation.espmail("request", "status", "out-4", "--only", "skipped", "--json").lines[1:]
    assert only["user_id"] == "4"
    text = installation.espmail("request", "status", "out-4").out
    assert "finished: 1 skipped, 1 sent of 2" in text
