"""The bounce samples of the flufl.bounce project (tests/corpus/bounces), one line a sample: what we read in each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.domain.bounces import read_report
from streams.domain.outgoing.unsubscribe import Keyring
from streams.events import EmailBounced

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "corpus" / "bounces"
ROWS = [json.loads(line) for line in (HERE / "bounces.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row["row"] for row in ROWS])
def test_sample(row: dict[str, str]) -> None:
    sample = (SAMPLES / f"{row['row']}.txt").read_bytes()
    report = read_report("i1", "bounces@d.org", sample, datetime(2026, 11, 20, tzinfo=UTC), Keyring((b"k" * 32,)))
    if "kind" not in row:
        assert report is None
        return
    assert isinstance(report, EmailBounced)
    assert (report.source, report.kind, report.status) == (row["source"], row["kind"], row["status"])
    assert (report.email_id, report.address_hash) == (None, "")


def test_every_sample_has_its_row() -> None:
    assert sorted(row["row"] for row in ROWS) == sorted(path.stem for path in SAMPLES.glob("*.txt"))
