"""What README, docs and the files of deploy/ name is there: commands, options, make targets, settings, files, metrics."""

from __future__ import annotations

import configparser
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import typer
import yaml

from cli.main import COMMANDS
from streams import metrics
from streams.reads import NAMES
from streams.settings import Settings
from tests.conftest import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
DEPLOYED = [*UNITS, ROOT / "docker-compose.yml", ROOT / "deploy" / "Dockerfile", *sorted((ROOT / "deploy" / "prometheus").iterdir())]
SETTINGS = {f"ESPMAIL_{field.name.upper()}" for field in fields(Settings)}
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_of(page: Path) -> Iterator[str]:
    """Each line of a code block, and each code span, of a Markdown page."""
    text = page.read_text()
    blocks = re.findall(r"^```(?!mermaid)[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def words_after(command: str, page: Path) -> Iterator[list[str]]:
    """The words behind each `command` that starts a line of code, or follows settings there."""
    for line in code_of(page):
        match = re.match(rf"\$?\s*(?:[A-Z_]+=\S*\s+)*{command}((?:\s+[^\s#;|<>\[\]]+)*)", line)
        if match:
            yield match[1].split()


def group(name: str) -> typer.Typer | None:
    return getattr(importlib.import_module(COMMANDS[name][0]), "app", None)


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_command_on_the_page_exists(page: Path) -> None:
    for words in words_after("espmail", page):
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in COMMANDS, f"espmail {words[0]}"
        app = group(words[0])
        if app is not None and len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]):
            known = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback}
            assert words[1] in known, f"espmail {words[0]} {words[1]}"


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_make_target_on_the_page_exists(page: Path) -> None:
    assert {words[0] for words in words_after("make", page) if words} <= TARGETS | {"a", "it"}


@pytest.mark.parametrize("path", [*PAGES, *DEPLOYED, *sorted((ROOT / "cli").glob("*.py"))], ids=short)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert set(re.findall(r"\bESPMAIL_[A-Z_]*[A-Z]\b", path.read_text())) <= SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_link_and_file_on_the_page_exists(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {"var", "build", "dist"}
    spans = [span for span in code_of(page) if re.fullmatch(r"[\w./-]+", span) and span.split("/")[0] in tops and "/" in span]
    assert [span for span in spans if not (ROOT / span).exists()] == []


def test_make_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS


# -- deploy/ -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNITS, ids=short)
def test_every_unit_runs_a_command_that_exists(path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names have capitals
    unit.read_string(path.read_text())
    program, command, *_ = unit["Service"]["ExecStart"].split()
    assert program.endswith("/bin/espmail")
    assert command in COMMANDS
    assert unit["Service"]["Restart"] == "always"


def test_the_agents_of_the_unit_are_all_agents() -> None:
    text = (ROOT / "deploy" / "systemd" / "espmail-worker@.service").read_text()
    assert set(re.findall(r"espmail-worker@([a-z.]+)(?=\s)", text)) == set(NAMES)


def test_compose_runs_commands_that_exist_on_a_cluster_that_keeps_three_copies() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    ours = {name: service for name, service in compose["services"].items() if service["image"] == "espmail"}
    assert {service["command"][0] for service in ours.values()} == {"topics", "worker", "gateway", "web", "project"}
    brokers = [name for name, service in compose["services"].items() if service["image"].startswith("apache/kafka:4.1")]
    for service in ours.values():
        assert service["environment"]["ESPMAIL_KAFKA"] == ",".join(f"{name}:9092" for name in brokers)
        assert service["environment"]["ESPMAIL_REPLICATION"] == str(len(brokers)) == "3"


def known_metrics() -> set[str]:
    ours = [value for value in vars(metrics).values() if isinstance(value, prometheus_client.metrics.MetricWrapperBase)]
    described = [family for metric in ours for family in metric.describe()]
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + ending for family in described for ending in endings[family.type]}


def expressions() -> list[str]:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    board = json.loads((ROOT / "deploy" / "grafana" / "espmail.json").read_text())
    alerts: list[Any] = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return alerts + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_panels_use_metrics_that_exist(expression: str) -> None:
    assert set(re.findall(r"\bespmail_\w+", expression)) <= known_metrics()


def test_every_metric_has_a_panel() -> None:
    shown = set(re.findall(r"\bespmail_\w+", " ".join(expressions())))
    for metric in known_metrics():
        assert any(name.startswith(metric.removesuffix("_count").removesuffix("_sum").removesuffix("_bucket")) for name in shown), metric


def test_every_processs_metrics_are_scraped() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"][0]
    assert [int(target.split(":")[1]) for target in scraped["targets"]] == [9470 + number for number in range(len(metrics.SERVED))]
