"""A bounce by mail, all the way: from the MTA's report to an address that gets no more mail (spec 8, row 52)."""

from __future__ import annotations

import pytest

from gateway.keys import load_keyring
from projections import queries
from streams.domain.addresses import address_hash
from streams.domain.outgoing.unsubscribe import make_token, unsubscribe_url
from streams.domain.verp import verp
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
