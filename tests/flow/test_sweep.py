"""`espmail bodies sweep`: what no record names goes, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from cli.publishing import publish
from gateway.bodies import claim_for
from gateway.bodies_files import FileBodies
from gateway.body_store import open_bodies
from streams import codec, topics
from streams.events import ClaimCheck, DeadLettered, InboundMailReceived
from streams.publisher import Record
from streams.settings import Settings
from tests.services.env import environment
from tests.services.gateway import LIST, NOW

pytestmark = pytest.mark.broker


def received(claim: ClaimCheck) -> InboundMailReceived:
    return InboundMailReceived(claim.sha256[:32], NOW, "ann@x.org", LIST, None, claim, "127.0.0.1", "x", "ESMTP")


def put(settings: Settings, data: bytes, *, old: bool = True) -> ClaimCheck:
    claim = open_bodies(settings).put(data)
    if old:
        os.utime(settings.var / "bodies" / claim.key, (0, 0))
    return claim


def swept(settings: Settings, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", "bodies", "sweep", *options]
    return subprocess.run(command, env=environment(settings), capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture
def claims(fresh_topics: Settings) -> dict[str, ClaimCheck]:
    """Bodies that are named by a mail, by a dead letter alone, by none but young, and by none."""
    made = {name: put(fresh_topics, name.encode(), old=name != "young") for name in ("mail", "dead letter", "young", "unnamed")}
    parked = codec.encode(received(made["dead letter"]))
    letter = DeadLettered(datetime.now(UTC), topics.INBOUND_MAIL, 0, 7, b"key", parked, [], "route", "unexpected", "")
    publish(
        fresh_topics,
        [
            Record.of(topics.INBOUND_MAIL, "mail", received(made["mail"])),
            Record.of(topics.DEAD_LETTERS, "dead", letter),
        ],
    )
    return made


def left(settings: Settings) -> set[str]:
    return {kept.key for kept in FileBodies(settings.var / "bodies").kept()}


def test_only_what_is_old_and_unnamed_goes_and_only_when_told(fresh_topics: Settings, claims: dict[str, ClaimCheck]) -> None:
    crumb = fresh_topics.var / "bodies" / "sha256" / "00" / ".new-half"
    crumb.write_bytes(b"half a body")
    os.utime(crumb, (0, 0))
    before = left(fresh_topics)
    said = swept(fresh_topics, "--json")
    assert (said.returncode, json.loads(said.stdout)) == (0, {"unnamed": 2, "removed": 0, "bytes": 18}), said.stderr
    assert left(fresh_topics) == before
    assert swept(fresh_topics, "--yes").stdout == "removed 2 bodies of 18 bytes\n"
    assert left(fresh_topics) == {claim.key for name, claim in claims.items() if name != "unnamed"}
    assert json.loads(swept(fresh_topics, "--yes", "--json").stdout) == {"unnamed": 0, "removed": 0, "bytes": 0}


def test_an_empty_kafka_is_not_believed(fresh_topics: Settings) -> None:
    put(fresh_topics, b"of another Kafka")
    ended = swept(fresh_topics, "--yes")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "check ESPMAIL_KAFKA and ESPMAIL_BODIES" in ended.stderr
    assert left(fresh_topics) == {claim_for(b"of another Kafka").key}
