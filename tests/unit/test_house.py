"""The house rules that a program can check: what may import what, and how Faust is set up (F-16)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import faust
import pytest

from cli.main import COMMANDS
from streams import app as faust_app
from streams.settings import Settings
from tests.conftest import ROOT

DOMAIN = sorted((ROOT / "streams" / "domain").rglob("*.py"))
CODE = sorted(
    path for folder in ("cli", "deploy", "gateway", "projections", "schemas", "streams") for path in (ROOT / folder).rglob("*.py")
)

# What a decision may not see: files, sockets, processes, threads, the clock, chance, the environment.
IMPURE = {"asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil", "signal"}
IMPURE |= {"smtplib", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time"}
IMPURE |= {"aiokafka", "aiosmtplib", "aiosmtpd", "boto3", "confluent_kafka", "faust", "psycopg", "requests", "sqlalchemy", "starlette"}
CLOCK_AND_CHANCE = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "input", "formatdate", "make_msgid", "localtime"}
CODE_FROM_BYTES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """The dotted names of what a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def called(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", ""))


@pytest.mark.parametrize("path", DOMAIN, ids=short)
def test_the_domain_is_pure(path: Path) -> None:
    names = imported(path)
    assert {name for name in names if name.split(".")[0] in IMPURE} == set()
    ours = {name for name in names if name.split(".")[0] in {"cli", "deploy", "gateway", "projections", "schemas", "streams"}}
    assert {name for name in ours if not name.startswith(("streams.domain", "streams.events"))} == set()
    assert CLOCK_AND_CHANCE & set(called(path)) == set()


@pytest.mark.parametrize("path", CODE, ids=short)
def test_no_module_makes_code_from_bytes(path: Path) -> None:
    assert {name for name in imported(path) if name.split(".")[0] in CODE_FROM_BYTES} == set()
    assert {"eval", "exec", "__import__"} & set(called(path)) == set()


def test_the_environment_is_read_where_a_process_begins() -> None:
    """Everywhere else, settings are handed down."""
    nodes = [(short(path), node) for path in CODE for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert {path for path, node in nodes if node.attr in {"environ", "environb", "getenv"}} == {
        "cli/mailgate.py",
        "cli/shared.py",
        "deploy/supervisor.py",  # gives its children what it was given
        "streams/run_agent.py",
    }


def test_the_service_and_the_site_do_not_mix() -> None:
    """What the site installs (sdk) imports nothing of the service."""
    for path in sorted((ROOT / "sdk").rglob("*.py")):
        tops = {name.split(".")[0] for name in imported(path)}
        assert tops & {"cli", "deploy", "gateway", "projections", "schemas", "streams"} == set(), short(path)


# -- commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_module(name: str) -> None:
    assert find_spec(COMMANDS[name][0]) is not None


def test_help_imports_nothing_heavy() -> None:
    heavy = {"faust", "confluent_kafka", "sqlalchemy", "django", "boto3", "starlette", "aiosmtpd", "fastavro"}
    script = "import sys; from cli.main import run; run(['--help']); print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", script, *heavy], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in COMMANDS)


# -- Faust (F-16) --------------------------------------------------------------------------------------------------------


@pytest.fixture
def app() -> Any:
    async def never() -> Any:
        raise AssertionError("no agent starts here")

    built = faust_app.build_app(Settings(), "expand")
    faust_app.define_agent(built, never, ["message-requests"])
    return built


def test_f16_bytes_come_in_raw_and_nothing_is_served(app: faust.App) -> None:
    assert (app.conf.key_serializer, app.conf.value_serializer) == ("raw", "raw")
    assert app.conf.web_enabled is False
    assert str(app.conf.processing_guarantee) == str(faust.types.enums.ProcessingGuarantee.AT_LEAST_ONCE)
    assert app.conf.topic_allow_declare is False
    assert app.conf.topic_disable_leader is True
    assert app.conf.stream_wait_empty is True


def test_f16_there_is_one_agent_without_concurrency_and_no_table(app: faust.App) -> None:
    (agent,) = app.agents.values()
    assert agent.concurrency == 1
    assert agent.channel.key_serializer == agent.channel.value_serializer == "raw"
    assert dict(app.tables) == {}


def test_f16_no_table_no_take_no_sink_slips_in() -> None:
    with_faust = [path for path in CODE if any(name.split(".")[0] == "faust" for name in imported(path))]
    assert {short(path) for path in with_faust} == {"streams/app.py", "streams/worker.py"}
    for path in with_faust:
        assert {"Table", "GlobalTable", "SetTable", "take", "through", "group_by", "filter", "add_sink"} & set(called(path)) == set()
