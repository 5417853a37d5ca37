"""The reporter's thread outlives whatever one look meets."""

from __future__ import annotations

from typing import cast

import pytest

from projections import reporter
from projections.reporter import Reporter, reporting
from tests.services.until import until


class Unlucky:
    """Fails at its first look."""

    looks = 0

    def run_once(self) -> int:
        self.looks += 1
        if self.looks == 1:
            raise ValueError("a bug")
        return 0


def test_a_fault_is_logged_and_the_next_look_comes(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(reporter, "EVERY_S", 0.01)
    unlucky = Unlucky()
    with reporting(cast("Reporter", unlucky)):
        until(lambda: unlucky.looks >= 2, "it looks again")
    assert "a fault of this program" in caplog.text
