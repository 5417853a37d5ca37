"""A bounce by mail, all the way: from the MTA's report to an address that gets no more mail (spec 8, row 52)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cli.publishing import publish
from gateway.keys import load_keyring
from projections import queries
from streams import topics
from streams.domain.addresses import address_hash
from streams.domain.outgoing.unsubscribe import make_token, unsubscribe_url
from streams.domain.verp import verp
from streams.events import EmailBounced
from streams.publisher import Record
from tests.services.installation import Installation
from tests.services.outgoing import document
from tests.unit.test_bounces import dsn

pytestmark = pytest.mark.broker


def test_a_dead_address_is_learned_from_its_bounce(installation: Installation) -> None:
    installation.submit(document("ann", "cy", request_id="before", created_at=None))
    installation.finished("before")
    (email,) = [row for row in installation.emails("before") if row["recipient"] == "ann@x.org"]
    hashed = address_hash("ann@x.org")
    token = make_token(load_keyring(installation.settings.var), hashed, "request", email["email_id"])
    link = f"List-Unsubscribe: <{unsubscribe_url('yale.learningu.org', token)}>"
    report = dsn("Final-Recipient: rfc822; ann@x.org", "Action: failed", "Status: 5.1.1", returned=link, end="\r\n")

    mail = installation.post(report, verp("emailbounces@learningu.org", email["email_id"]), "")

    row = installation.decided(mail)
    assert (row["decision"], row["reason"]) == ("drop", "bounce_read")

    def learned() -> bool:
        with installation.engine.connect() as connection:
            found = queries.email(connection, email["email_id"])
            states = queries.suppressed(connection, hashed)
        return found is not None and found["feedback"] == "hard_bounce" and [state["suppressed"] for state in states] == [True]

    installation.until(learned, "the bounce is in the tables")
    installation.submit(document("ann", "cy", request_id="after", created_at=None, subject="Again"))
    installation.finished("after")
    assert {row["send_to"]: (row["status"], row["reason"]) for row in installation.emails("after")} == {
        '"Ann Lee" <ann@x.org>': ("skipped", "suppressed"),
        '"Cy Ng" <cy@x.org>': ("sent", ""),
    }


def test_an_address_whose_mail_keeps_coming_back_gets_no_more(installation: Installation) -> None:
    """Soft bounces of as many days as the settings say, as a provider reports them."""
    hashed, now = address_hash("bob@x.org"), datetime.now(UTC)
    days = range(installation.settings.soft_bounces)
    said = [EmailBounced(f"soft/{day}", now - timedelta(days=day), None, hashed, "soft", "4.2.2", "full", "ses") for day in days]

    publish(installation.settings, [Record.of(topics.FEEDBACK, hashed, bounce) for bounce in said])

    installation.until(lambda: reasons(installation, hashed) == ["soft_bounces"], "the bounces are counted")
    installation.submit(document("bob", "cy", request_id="worn-out", created_at=None))
    installation.finished("worn-out")
    assert {row["send_to"]: (row["status"], row["reason"]) for row in installation.emails("worn-out")} == {
        '"Bob O\'Neil" <bob@x.org>': ("skipped", "suppressed"),
        '"Cy Ng" <cy@x.org>': ("sent", ""),
    }


def test_an_operator_sees_lifts_and_adds_a_suppression(installation: Installation) -> None:
    hashed = address_hash("eve@x.org")
    bounce = EmailBounced("hard/eve", datetime.now(UTC), None, hashed, "hard", "5.1.1", "no such user", "ses")
    publish(installation.settings, [Record.of(topics.FEEDBACK, hashed, bounce)])
    installation.until(lambda: reasons(installation, hashed) == ["hard_bounce"], "the bounce is in the tables")

    (shown,) = installation.espmail("suppressions", "show", "EVE@x.org", "--json").lines
    assert (shown["purpose"], shown["suppressed"], shown["reason"], shown["by"]) == ("*", True, "hard_bounce", "ses")
    (lifted,) = installation.espmail("suppressions", "lift", "eve@x.org", "--by", "ada", "--json").lines
    assert lifted == {"outcome": "lifted", "purpose": "*", "by": "ada"}
    installation.until(lambda: reasons(installation, hashed) == [], "it is lifted")
    assert "no mail to eve@x.org is suppressed" in installation.espmail("suppressions", "lift", "eve@x.org", expect=1).err
    assert "operator ada" in installation.espmail("suppressions", "show", "eve@x.org").out
    installation.submit(document("eve", request_id="lifted", created_at=None))
    assert [row["status"] for row in installation.emails(installation.finished("lifted").request["request_id"])] == ["sent"]

    installation.espmail("suppressions", "add", "eve@x.org", "--purpose", "request")
    installation.until(lambda: reasons(installation, hashed) == ["unsubscribed"], "it is added")
    installation.submit(document("eve", request_id="added", created_at=None))
    assert [row["reason"] for row in installation.emails(installation.finished("added").request["request_id"])] == ["suppressed"]


def test_suppressions_of_what_is_no_address_or_purpose_are_wrong_usage(installation: Installation) -> None:
    assert "is no address" in installation.espmail("suppressions", "show", "eve", expect=2).err
    assert "there is no purpose" in installation.espmail("suppressions", "add", "eve@x.org", "--purpose", "news", expect=2).err
    assert "it gets all mail" in installation.espmail("suppressions", "show", "nobody@x.org").out


def reasons(installation: Installation, hashed: str) -> list[str]:
    with installation.engine.connect() as connection:
        return [row["reason"] for row in queries.suppressed(connection, hashed) if row["suppressed"]]
