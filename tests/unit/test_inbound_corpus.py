"""Real mail: the samples of CPython's own email tests go through a class list and an alias unharmed."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from streams.domain.routing.decide import decide
from streams.domain.routing.fields import canonical, scan
from streams.domain.routing.outcome import to_events
from streams.events import Relayed
from tests.services.inbound import NOW, directory, mail

try:
    CORPUS = sorted(Path(str(files("test.test_email") / "data")).glob("msg_*.txt"))
except ModuleNotFoundError:  # said by test_the_corpus_is_here
    CORPUS = []
# Bounces and mass mail are stopped; all else is delivered, once a moderator has seen those without a clear sender.
STOPPED = {"msg_16": "precedence", "msg_25": "auto_submitted", "msg_32": "precedence", "msg_33": "precedence"}
OPEN = directory(
    redirects=[{"original": "alias", "destination": "a@y.org, b@y.org"}],
    email_lists=[
        {"seq": 1, "regex": r"^\w(\d+)-(class)$", "handler": "ClassList", "subject_prefix": "ESP"},
        {"seq": 2, "regex": "^alias$", "handler": "PlainList"},
    ],
)


def test_the_corpus_is_here() -> None:
    assert len(CORPUS) >= 47, (
        "this Python came without its test package (Debian: libpython3-testsuite); test_email/data/msg_*.txt are needed"
    )


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
@pytest.mark.parametrize("local", ["m123-class", "alias"])
def test_sample(path: Path, local: str) -> None:
    raw = canonical(path.read_bytes())
    inbound = mail(raw, local)
    decision = decide(inbound, OPEN, approved=True)
    assert decision.reason == STOPPED.get(path.stem, "approved")
    _, found, body = raw.partition(b"\r\n\r\n")
    for queued in to_events(decision, inbound, NOW, rules_hash="").emails:
        assert isinstance(queued.content, Relayed)
        assert queued.content.body == (body if found else b"")
        assert len(scan(queued.content.header + b"\r\n").all("from")) >= (local == "m123-class")


@pytest.mark.parametrize("path", [path for path in CORPUS if path.stem not in STOPPED], ids=lambda path: path.stem)
def test_sample_keeps_its_fields_behind_an_alias(path: Path) -> None:
    raw = canonical(path.read_bytes())
    messages = decide(mail(raw, "alias"), OPEN, approved=True).messages
    before = [field.raw for field in scan(raw).fields if field.name not in ("bcc", "return-path")]
    after = [field.raw for field in scan(messages[0].header + b"\r\n").fields]
    assert [raw for raw in after if raw in before] == before
    assert len(after) - len(before) in (2, 3)  # Delivered-To, Received, and a Message-ID where there was none
