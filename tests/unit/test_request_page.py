"""What docs/requests.md shows is what espmail takes: its examples are run as they stand there."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.domain.outgoing.request import parse_request
from streams.settings import Settings
from tests.conftest import ROOT
from tests.services.installation import Answer, espmail

PAGE = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
BEFORE = datetime(2028, 1, 1, tzinfo=UTC)


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


EXAMPLE = json.loads(block("json"))


def dry_run(folder: Path, request: object, *arguments: str) -> Answer:
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    return espmail(
        Settings(var=folder), "request", "dry-run", str(folder / "request.json"), "--json", "--now", BEFORE.isoformat(), *arguments
    )


def test_the_request_goes_to_ann_and_her_guardian(tmp_path: Path) -> None:
    answer = dry_run(tmp_path, EXAMPLE)
    assert [(line["to"], line["outcome"]) for line in answer.lines] == [
        ('"Ann Lee" <ann@x.org>', "queued"),
        ('"Gina Lee" <gina@x.org>', "queued"),
    ]
    assert answer.err == ""


def test_people_beside_it_get_theirs(tmp_path: Path) -> None:
    (tmp_path / "people.jsonl").write_text(block("jsonl"), encoding="utf-8")
    head = {key: value for key, value in EXAMPLE.items() if key != "recipients"} | {"send_to": "send_to_self"}
    answer = dry_run(tmp_path, head, "--recipients", str(tmp_path / "people.jsonl"))
    assert [(line["user_id"], line["outcome"]) for line in answer.lines] == [("1", "queued"), ("2", "queued")]


def test_files_are_taken_as_the_page_says(tmp_path: Path) -> None:
    (said,) = re.findall(r'`("attachments": \[.*?\])`', PAGE)
    for file in json.loads(f"{{{said}}}")["attachments"]:
        (tmp_path / file["path"]).write_bytes(b"bytes")
    answer = dry_run(tmp_path, {**EXAMPLE, **json.loads(f"{{{said}}}")})
    assert (answer.lines[0]["outcome"], answer.err) == ("queued", "")


@pytest.mark.parametrize("field", re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE))))
def test_every_field_of_the_table_is_known(field: str) -> None:
    optional = field not in ("request_id", "subject", "body")
    warnings = parse_request({**EXAMPLE, field: None} if optional else EXAMPLE, BEFORE).warnings
    assert [warning for warning in warnings if "not a known key" in warning] == []
