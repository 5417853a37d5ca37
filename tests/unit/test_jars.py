"""The embedded broker's jars: pinned, checked, and nothing half-fetched."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from deploy.jars import COORDINATES, JarsError, Pin, classpath, pinned

BYTES = b"PK a jar"
PIN = Pin(hashlib.sha256(BYTES).hexdigest(), "org.example:thing:1.0")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


def test_every_pin_is_a_hash_and_a_coordinate() -> None:
    for pin in pinned():
        assert re.fullmatch(r"[0-9a-f]{64}", pin.sha256)
        assert re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", pin.coordinate)
    assert len({pin.file_name for pin in pinned()}) == len(pinned())


def test_what_is_asked_for_is_pinned() -> None:
    assert set(COORDINATES.split("+")) <= {pin.coordinate for pin in pinned()}


def test_jars_that_are_there_need_no_network(tmp_path: Path, no_network: None) -> None:
    other = Pin(PIN.sha256, "org.example:other:2.0")
    for pin in (PIN, other):
        (tmp_path / pin.file_name).write_bytes(BYTES)
    assert classpath(tmp_path, [PIN, other]).split(os.pathsep) == [str(tmp_path / "thing-1.0.jar"), str(tmp_path / "other-2.0.jar")]


def test_another_jar_under_the_name_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / PIN.file_name).write_bytes(BYTES + b"!")
    with pytest.raises(JarsError, match=r"thing-1\.0\.jar is not the org\.example:thing:1\.0 that .* pins; delete") as refused:
        classpath(tmp_path, [PIN])
    assert "\n" not in str(refused.value)


def test_without_a_network_it_says_what_to_do_and_leaves_nothing_half_done(tmp_path: Path, no_network: None) -> None:
    with pytest.raises(JarsError, match=r"cannot fetch .*; connect to the network") as refused:
        classpath(tmp_path / "jars", [PIN])
    assert "\n" not in str(refused.value)
    assert list((tmp_path / "jars").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JarsError, match="cannot fetch"):
        classpath(tmp_path / "file" / "jars", [PIN])
