"""The ledger's file is believed until the machine is started anew; what a power cut left of it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.domain.states import EmailState
from streams.state import ledger
from streams.state.ledger import Ledger, key_of, standing

SENT = (key_of("e1"), standing(EmailState.SENT, 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger" / "0.sqlite"
    first = Ledger(path)
    first.fold([SENT], 1)
    first.close()
    return path


def opened(path: Path) -> tuple[int, object]:
    again = Ledger(path)
    found = again.next_offset, again.state("e1")
    again.close()
    return found


def test_a_process_that_comes_back_goes_on(path: Path) -> None:
    assert opened(path) == (1, (EmailState.SENT, 1))
    assert opened(path) == (1, (EmailState.SENT, 1))


@pytest.mark.parametrize("left", [None, b"half a page of it"], ids=["looks well", "spoiled"])
def test_after_the_machine_was_started_anew_it_is_rebuilt(
    path: Path, left: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are not forced to the disk: rows may be missing from it that its offset accounts for."""
    if left is not None:
        path.write_bytes(left)
    (tmp_path / "boot_id").write_text("another\n")
    monkeypatch.setattr(ledger, "BOOT_ID", tmp_path / "boot_id")
    assert opened(path) == (0, None)
    assert opened(path) == (0, None)


def test_without_a_boot_id_it_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "BOOT_ID", tmp_path / "none")
    path = tmp_path / "0.sqlite"
    first = Ledger(path)
    first.fold([SENT], 1)
    first.close()
    assert opened(path) == (1, (EmailState.SENT, 1))
