"""Rows of spec 9.2, and of spec 8, that show on the wire, by number: the lines that are there in this order, or why there is no mail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.domain.compose import compose
from streams.events import Composed, Header
from tests.golden.test_delivery import queued

ROWS = [json.loads(line) for line in (Path(__file__).parent / "wire.jsonl").read_text(encoding="utf-8").splitlines()]
HEAD = [Header("From", "Yale Splash <info@yale.learningu.org>"), Header("Date", "Fri, 20 Nov 2026 10:00:00 +0000")]


def written(row: dict[str, Any]) -> list[str]:
    headers = [*HEAD, *(Header(name, value) for name, value in row.get("headers", []))]
    letter, times = row.get("text_of", [row.get("text", "Hi"), 1])
    return compose(replace(queued({}), content=Composed(headers, letter * times, row.get("html"), [])), {}).decode().split("\r\n")


@pytest.mark.parametrize("row", ROWS, ids=[row["row"] for row in ROWS])
def test_row(row: dict[str, Any]) -> None:
    if "refused" in row:
        with pytest.raises(ValueError, match=row["refused"]):
            written(row)
        return
    lines = written(row)
    rest = iter(lines)
    assert [line for line in row["wire"] if line not in rest] == []
    assert max(map(len, lines)) <= 998
    assert not any(words in line for words in row.get("never", []) for line in lines)
