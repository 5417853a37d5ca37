"""What MTA logs prove: the lines are in the forms that Exim and Postfix write."""

from __future__ import annotations

from streams.domain.evidence import shown, taken

EXIM = [
    "2026-11-20 10:00:00 1vLxyz-000abc-1A <= bounces@d.org H=localhost (worker) [127.0.0.1] P=esmtp S=1234 id=e1@d.org",
    '2026-11-20 10:00:01 1vLxyz-000abc-1A => ann@x.org R=smart T=smtp H=mx.x.org [192.0.2.1] C="250 ok"',
    "2026-11-20 10:00:02 H=localhost [127.0.0.1] F=<b@d.org> rejected RCPT <bob@x.org>: no id=e2@d.org here",
]
POSTFIX = [
    "Nov 20 10:00:00 mx postfix/cleanup[123]: 4F1: message-id=<e1@d.org>",
    "Nov 20 10:00:00 mx postfix/qmgr[9]: 4F1: from=<b@d.org>, size=10, nrcpt=1 (queue active)",
]


def test_exims_arrival_line_names_the_message() -> None:
    assert taken("exim", EXIM) == {"<e1@d.org>": EXIM[0]}


def test_postfixs_cleanup_line_names_the_message() -> None:
    assert taken("postfix", POSTFIX) == {"<e1@d.org>": POSTFIX[0]}


def test_a_log_without_the_mail_proves_nothing() -> None:
    assert taken("exim", []) == {}


def test_a_message_id_of_its_own_proves_that_an_email_was_taken() -> None:
    assert shown({"<e1@d.org>": EXIM[0]}, "e1", "<e1@d.org>") == "taken"
    assert shown({"<e1@d.org>": EXIM[0]}, "e2", "<e2@d.org>") == "absent"


def test_a_relayed_mails_message_id_does_not() -> None:
    """The line may be of another member's copy, or of the mail on its way in: this member would never get it."""
    seen = {"<original@sender.org>": "... <= ann@sender.org ... id=original@sender.org"}
    assert shown(seen, "e1", "<original@sender.org>") == "unclear"
    assert shown(seen, "original", "<originals-other@sender.org>") == "absent"
