"""Every row of spec 9.1 to 9.4 and 9.6 that expansion answers, by its number. Sending and retrying have their own table."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from streams.domain.outgoing.problems import RequestRefused
from tests.services.outgoing import NOW, Expanded, document, expanded

ROWS = [json.loads(line) for line in (Path(__file__).parent / "outgoing.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row["row"] for row in ROWS])
def test_row(row: dict[str, Any]) -> None:
    request = document(*row["people"], **row.get("request", {}))
    for person in request["recipients"]:
        person["variables"] = row.get("values", {})
    now = datetime.fromisoformat(row["now"]) if "now" in row else NOW
    expect = row["expect"]
    if "refused" in expect:
        with pytest.raises(RequestRefused) as error:
            expanded(request, now)
        assert error.value.refused.reason == expect["refused"]
        assert [words for words in expect["says"] if words not in str(error.value)] == []
        return
    found = expanded(request, now)
    assert [email.to for email in found.queued] == expect.get("to", [email.to for email in found.queued])
    assert [[skip.to, skip.reason] for skip in found.skipped] == expect.get("skipped", [])
    assert list(found.gaps) == expect.get("gaps", [])
    if found.queued:
        _check_first(found, expect)


def _check_first(found: Expanded, expect: dict[str, Any]) -> None:
    email, headers = found.queued[0], {header.name: header.value for header in found.first.headers}
    assert found.first.text == expect.get("text", found.first.text)
    assert found.first.html == expect.get("html", found.first.html)
    assert email.recipient == expect.get("recipient", email.recipient)
    assert email.envelope_from == expect.get("envelope_from", "emailbounces@learningu.org")
    assert email.expires_at.isoformat() == expect.get("expires_at", "2026-11-27T10:00:00+00:00")
    assert {name: headers.get(name) for name in expect.get("headers", {})} == expect.get("headers", {})
    assert [name for name, shape in expect.get("matches", {}).items() if not re.fullmatch(shape, headers[name])] == []
