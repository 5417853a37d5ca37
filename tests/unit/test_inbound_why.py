"""`espmail inbound why`: the answer for each way in which somebody got a mail, or did not."""

from __future__ import annotations

from typing import Any

import pytest

from cli.inbound_archive import reason_for
from streams.domain.addresses import address_hash

ANN = "ann@x.org"
FAILED = {"by": "mx.x.org", "own": False, "results": [{"method": "dmarc", "result": "fail", "domain": "x.org"}]}
DELIVERED = {"decision": "deliver", "reason": "accepted", "skipped": []}
LEFT_OUT = {**DELIVERED, "skipped": [[address_hash(ANN), "suppressed"]]}


def copy(status: str, **columns: Any) -> dict[str, Any]:
    return {"recipient": ANN, "status": status, "last_reply": None, "reason": None, **columns}


ANSWERS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], str]] = {
    "sent": (DELIVERED, [copy("sent")], "a copy was made; it is sent"),
    "refused": (DELIVERED, [copy("failed", last_reply="550 no such user")], "a copy was made; it is failed: 550 no such user"),
    "unsubscribed since": (DELIVERED, [copy("suppressed", reason="unsubscribed")], "a copy was made; it is suppressed: unsubscribed"),
    "waits": (DELIVERED, [copy("deferred", last_reply="451 come back")], "a copy was made; it is deferred: 451 come back"),
    "left out": (LEFT_OUT, [], "it was left out: suppressed"),
    "left out once, then routed anew": (LEFT_OUT, [copy("sent")], "a copy was made; it is sent"),
    "somebody else's copy": (DELIVERED, [{**copy("sent"), "recipient": "bob@x.org"}], "it was not on the list, as the list stood when the mail was routed"),
    "a copy without an address yet": (DELIVERED, [{**copy("sent"), "recipient": None}], "it was not on the list, as the list stood when the mail was routed"),
    "held": ({**DELIVERED, "decision": "hold", "reason": "admin_hold"}, [], "nobody got a copy: hold, admin_hold"),
    "dropped": ({**DELIVERED, "decision": "drop", "reason": "stranger"}, [], "nobody got a copy: drop, stranger"),
    "answered": ({**DELIVERED, "decision": "notice", "reason": "may_not_post"}, [], "nobody got a copy: notice, may_not_post"),
    "forged": (
        {**DELIVERED, "decision": "hold", "reason": "sender_not_authenticated", "judged": FAILED}, [],
        "nobody got a copy: hold, sender_not_authenticated (dmarc fail (x.org), found out by mx.x.org)"),
    "not decided": ({**DELIVERED, "decision": None, "reason": None}, [], "nobody got a copy: not decided yet, route has not come to it"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("asked", [ANN, "ANN@X.org"])
def test_why(name: str, asked: str) -> None:
    mail, copies, answer = ANSWERS[name]
    assert reason_for(mail, copies, asked) == answer
