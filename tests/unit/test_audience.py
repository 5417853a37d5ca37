"""Recipients in a file of their own: the same request as from one document, every faulty line by its number, in flat memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import request_io
from cli.request_io import lines_of
from streams import topics
from streams.domain.outgoing.people import MAX_LINE, Met, MetInMemory
from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.problems import RequestRefused
from streams.errors import UsageError, UserError
from streams.settings import Settings
from streams.state.scratch import Scratch, scratch
from streams.submission import gather, record_of, submission
from tests.services.installation import espmail
from tests.services.outgoing import NOW, document


@pytest.fixture
def kept() -> Iterator[Scratch]:
    with scratch() as one:
        yield one


def head(**changes: Any) -> dict[str, Any]:
    found = document(**changes)
    del found["recipients"]
    return found


def lines(people: Iterable[Any]) -> list[bytes]:
    return [json.dumps(person).encode() + b"\n" for person in people]


def refusal(kept: Scratch, given: Iterable[bytes], **changes: Any) -> list[str]:
    with pytest.raises(RequestRefused) as refused:
        gather(head(**changes), given, NOW, Policy(), kept)
    return [str(problem) for problem in refused.value.refused.problems]


def person(number: int, **more: Any) -> dict[str, Any]:
    return {"user_id": number, "first_name": f"Änn {number}", "email": f"u{number % 900}@x.org", **more}


def many(number: int) -> list[dict[str, Any]]:
    contact = {"first_name": "Gina", "last_name": "Lee", "email": "gina@x.org"}
    values = {"program": {"student_schedule": {"html": "<b>Ω</b>"}}}
    return [person(n, active=n % 7 != 0, guardian=contact if n % 3 else None, variables=values if n % 2 else {}) for n in range(number)]


@pytest.mark.parametrize("dedupe", ["auto", True, False])
@pytest.mark.parametrize("number", [0, 1, 1000, 1001, 2500])
def test_people_beside_the_document_are_the_same_request(kept: Scratch, number: int, dedupe: object) -> None:
    people = [*many(number), *many(min(number, 1))]
    changes = {"dedupe": dedupe, "send_to": "send_to_self_and_guardian"}
    whole = submission(document(*people, **changes), NOW, Policy())
    made = gather(head(**changes), lines(people), NOW, Policy(), kept)
    assert [record_of(chunk, Policy()) for chunk in made.chunks()] == whole.records
    assert [record_of(chunk, Policy()) for chunk in made.chunks()] == whole.records, "asked a second time"
    assert (made.number, made.head.recipients_total) == (len(whole.records), number)
    assert [text.replace("line ", "") for text in made.warnings] == [text.replace(str(number), str(number + 1)) for text in whole.warnings]


@pytest.mark.parametrize(
    ("changes", "policy", "apart"),
    [
        ({}, Policy(), True),
        ({"not_before": "2026-11-25T00:00:00Z"}, Policy(), True),
        ({"priority": "urgent"}, Policy(), False),
        ({"needs_approval": True}, Policy(), False),
        ({}, Policy(approval_over=2000), False),
    ],
)
def test_all_but_the_first_record_of_bulk_stand_where_nothing_urgent_waits(changes: dict[str, Any], policy: Policy, apart: bool) -> None:
    found = [record.topic for record in submission(document(*many(2500), **changes), NOW, policy).records]
    rest = topics.MESSAGE_REQUESTS_BULK if apart else topics.MESSAGE_REQUESTS
    assert found == [topics.MESSAGE_REQUESTS, rest, rest]


def test_every_faulty_line_is_named_with_its_number(kept: Scratch) -> None:
    given = [
        b'\xef\xbb\xbf{"user_id": 1}\n',
        b"\n",
        b'{"user_id": \n',
        b"[]\n",
        b"null\n",
        b'{"user_id": 2, "active": "yes"}\n',
        b'"\xff"\n',
    ]
    found = refusal(kept, given, subject="{{ nobody.knows }}", sender="x@gmail.com")
    assert [problem.partition(":")[0] for problem in found] == [
        "recipients[line 3]",
        "recipients[line 4]",
        "recipients[line 5]",
        "recipients[line 6].active",
        "recipients[line 7]",
        "sender",
    ]


def test_nesting_and_length_without_end_are_faults_of_their_line(kept: Scratch, tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_bytes(b"[" * 100_000 + b"\n" + b'{"user_id": "' + b"x" * (2 * MAX_LINE) + b'"}\n' + b'{"user_id": 3}')
    with lines_of(path) as given:
        found = refusal(kept, given)
    assert found == ["recipients[line 1]: is nested too deep", f"recipients[line 2]: is longer than {MAX_LINE} bytes"]


def test_of_a_thousand_faulty_lines_the_first_are_named_and_all_are_counted(kept: Scratch) -> None:
    found = refusal(kept, [b"{}\n"] * 1000)
    assert (len(found), found[0], found[-1]) == (101, "recipients[line 1].user_id: is missing", "and 900 more faults")


def test_people_in_the_document_and_beside_it_are_refused(kept: Scratch) -> None:
    with pytest.raises(RequestRefused, match="recipients: stand in the document and beside it; give them once"):
        gather(document("ann"), lines([person(1)]), NOW, Policy(), kept)


def test_memory_is_flat(kept: Scratch) -> None:
    given = (json.dumps(person(n, variables={"n": n})).encode() for n in range(20_000))
    tracemalloc.start()
    try:
        made = gather(head(), given, NOW, Policy(), kept)
        assert sum(len(chunk.recipients) for chunk in made.chunks()) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 6_000_000, "a few thousand people at once"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["memory", "stored"])
def test_a_set_of_texts_tells_what_it_met_before(kept: Scratch, kind: str) -> None:
    met: Met = MetInMemory() if kind == "memory" else kept.met("texts")
    assert met.meet({"a", "b"}) == set()
    assert met.meet(["b", "c", ""]) == {"b"}
    assert met.meet({"a", "", "d"}) == {"a", ""}
    assert met.meet([]) == set()


def test_sets_of_texts_are_apart_and_begin_empty(kept: Scratch) -> None:
    kept.met("one").meet(["a"])
    assert kept.met("other").meet(["a"]) == set()
    assert kept.met("one").meet(["a"]) == set()


def test_a_scratch_file_that_cannot_grow_is_one_clear_line() -> None:
    def fill() -> None:
        with scratch() as kept:
            kept._db.execute("PRAGMA max_page_count = 10")
            gather(head(), lines(many(5000)), NOW, Policy(), kept)

    with pytest.raises(UserError, match=r"no room for the audience in .*; set TMPDIR to a folder with more"):
        fill()


def test_a_dry_run_of_people_beside_the_document_says_the_same(tmp_path: Path) -> None:
    settings, people = Settings(var=tmp_path), many(1500)
    paths = [tmp_path / name for name in ("whole.json", "head.json", "people.jsonl")]
    paths[0].write_text(json.dumps(document(*people)), encoding="utf-8")
    paths[1].write_text(json.dumps(head()), encoding="utf-8")
    paths[2].write_bytes(b"".join(lines(people)))
    at = ["--now", "2026-11-21T00:00:00Z"]
    whole = espmail(settings, "request", "dry-run", str(paths[0]), "--json", *at)
    assert espmail(settings, "request", "dry-run", str(paths[1]), "--recipients", str(paths[2]), "--json", *at).out == whole.out
    shown = espmail(settings, "request", "dry-run", str(paths[1]), "--recipients", str(paths[2]), *at)
    assert "1500" in shown.out
    refused = espmail(settings, "request", "dry-run", str(paths[1]), "--recipients", str(paths[0]), "--json", *at, expect=1)
    assert refused.lines[0]["problems"][0]["where"].startswith("recipients[line 1]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("submit", "-", "--recipients", "-"), "cannot both be on stdin"),
        (("submit", "head.json", "--recipients", "nobody.jsonl"), "cannot read nobody.jsonl: No such file"),
        (("dry-run", "head.json", "--recipients", "p.jsonl", "--against", "head.json"), "leave --recipients out"),
    ],
)
def test_files_that_cannot_be_used_are_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "head.json").write_text(json.dumps(head()), encoding="utf-8")
    whole = [str(tmp_path / argument) if argument == "head.json" else argument for argument in arguments]
    assert said in espmail(Settings(var=tmp_path), "request", *whole, expect=2).err


# -- attachments by path -----------------------------------------------------------------------------------------------


def request_file(folder: Path, *attachments: Any) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps(document("ann", attachments=list(attachments))), encoding="utf-8")
    return path


def test_a_path_becomes_a_claim_check_with_the_files_own_name_and_type(tmp_path: Path) -> None:
    (tmp_path / "map.pdf").write_bytes(b"%PDF")
    read = request_io.read_request(request_file(tmp_path, {"path": "map.pdf"}, {"path": "map.pdf", "filename": "x", "content_id": "m"}))
    first, second = submission(read.value, NOW, Policy()).request.attachments
    assert (first.filename, first.content_type, first.content_id, first.body.size) == ("map.pdf", "application/pdf", None, 4)
    assert (second.filename, second.content_id, second.body) == ("x", "m", first.body)
    assert read.files == (b"%PDF", b"%PDF")


def test_a_claim_check_that_is_ready_is_left_alone(tmp_path: Path) -> None:
    ready = {"filename": "a", "content_type": "a/b", "body": {"key": "k", "sha256": "s", "size": 1}}
    read = request_io.read_request(request_file(tmp_path, ready, 5))
    assert (read.value["attachments"], read.files) == ([ready, 5], ())


def test_a_file_that_is_not_there_or_too_big_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the attachment .*map.pdf: No such file"):
        request_io.read_request(request_file(tmp_path, {"path": "map.pdf"}))
    with (tmp_path / "film.mp4").open("wb") as file:
        file.truncate(18_000_001)
    with pytest.raises(UsageError, match=r"film.mp4 has 18000001 bytes; all attachments together may have 18000000"):
        request_io.read_request(request_file(tmp_path, {"path": "film.mp4"}))


def test_ready_claim_checks_have_the_same_limit_together() -> None:
    big = {"filename": "a", "content_type": "a/b", "body": {"key": "k", "sha256": "s", "size": 9_000_001}}
    with pytest.raises(RequestRefused, match="attachments: have 18000002 bytes together; 18000000 are allowed"):
        submission(document("ann", attachments=[big, big]), NOW, Policy())
