"""Every row of spec 9.5 that a decision answers, by its number. Row 145 (a broker that is down) is the gateway's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cli.inbound import answer
from streams.domain.routing.decide import decide
from streams.domain.routing.document import DocumentError, directory_from_json, read_document
from tests.services.inbound import TESS, content, mail, world

ROWS = [json.loads(line) for line in (Path(__file__).parent / "inbound.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row["row"] for row in ROWS])
def test_row(row: dict[str, Any]) -> None:
    document, expect = _document(row), row["expect"]
    if "refused" in expect:
        with pytest.raises(DocumentError) as refused:
            read_document(document)
        assert expect["refused"] in str(refused.value)
        return
    body = row.get("body", "Hello.").encode("latin-1") + b"\r\n"
    raw = content(*row.get("head", []), sender=row.get("sender", TESS), subject=row.get("subject", "Hi"), body=body)
    inbound = mail(raw, row["to"], row.get("mail_from", row.get("sender", TESS) or "x@y.org"))
    decision = decide(inbound, directory_from_json(document), approved=row.get("approved", False))
    found = answer(decision, inbound)
    assert (found["decision"], [address for message in found["messages"] for address in message["envelope_to"]]) == (
        expect["decision"],
        expect["to"],
    )
    _check_rule(found, expect)
    _check_first_copy(found, expect, body)
    assert len(decision.faults) == expect.get("warnings", 0)


def _document(row: dict[str, Any]) -> dict[str, Any]:
    document = world(**row.get("directory", {}))
    document["site"].update(row.get("site", {}))
    for rule in document["email_lists"]:
        rule.update(row.get("rules", {}).get(str(rule["seq"]), {}) if "seq" in rule else {})
    return document


def _check_rule(found: dict[str, Any], expect: dict[str, Any]) -> None:
    assert found["reason"] == expect.get("reason", found["reason"])
    rule = found["list"] or {"seq": None, "handler": None}
    assert rule["seq"] == expect.get("seq", rule["seq"])
    assert rule["handler"] == expect.get("handler", rule["handler"])


def _check_first_copy(found: dict[str, Any], expect: dict[str, Any], body: bytes) -> None:
    for message in found["messages"]:
        delivered = found["decision"] == "deliver"
        assert message["envelope_from"] == ("emailbounces@learningu.org" if delivered else "")
        assert (message["body_sha256"] == hashlib.sha256(body).hexdigest()) is delivered
    for name, values in expect.get("headers", {}).items():
        assert [value for written, value in found["messages"][0]["headers"] if written.lower() == name.lower()] == values
