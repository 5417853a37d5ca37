"""The command line itself: what its help shows, and numbers that nothing can be."""

from __future__ import annotations

import importlib
import inspect

import pytest

from cli.main import COMMANDS, run

BEYOND = str(10**23)
SINGLE = [name for name, (module, _) in COMMANDS.items() if name != "mailgate" and not hasattr(importlib.import_module(module), "app")]


@pytest.mark.parametrize("name", SINGLE)
def test_the_help_of_a_command_is_all_that_its_docstring_says(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    said = inspect.getdoc(importlib.import_module(COMMANDS[name][0]).command)
    assert said is not None
    assert " ".join(said.split()) in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["dead-letters", "show", BEYOND],
        ["dead-letters", "replay", "0", BEYOND],
        ["inbound", "list", "--most", BEYOND],
        ["inbound", "list", "--most", "0"],
        ["bodies", "sweep", "--older-than", BEYOND],
    ],
    ids=" ".join,
)
def test_a_number_out_of_bounds_is_wrong_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capfd.readouterr().err
    assert "Invalid value" in said
    assert "Traceback" not in said
