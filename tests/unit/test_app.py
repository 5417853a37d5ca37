"""Nothing of Faust that decides about records, anywhere (rows F-16 and F-17)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from streams.app import App, build_app, define_agent
from streams.reads import READS
from streams.settings import Settings
from streams.topics import declared

ROOT = Path(__file__).parent.parent.parent
AGENTS = [name for name in READS if name != "delay"]
# noack is in streams/app.py alone; the others acknowledge, repartition or answer on their own (docs/decisions/0002).
FORBIDDEN = frozenset(
    {"take", "filter", "group_by", "through", "sink", "Table", "GlobalTable", "SetTable", "isolated_partitions", "reply_to"}
)


def app_of(name: str) -> App:
    app = build_app(Settings(), name)
    define_agent(app, lambda: None, READS[name])  # type: ignore[arg-type,return-value] # never started
    return app


@pytest.mark.parametrize("name", AGENTS)
def test_faust_is_told_to_keep_out(name: str) -> None:
    app = app_of(name)
    conf = app.conf
    assert (conf.key_serializer, conf.value_serializer) == ("raw", "raw")
    assert conf.web_enabled is False
    assert conf.stream_wait_empty is True
    assert conf.topic_allow_declare is False
    assert conf.table_standby_replicas == 0
    assert conf.broker_session_timeout < conf.broker_rebalance_timeout
    assert str(conf.processing_guarantee.value) == "at_least_once"
    assert conf.consumer_auto_offset_reset == "earliest"
    assert conf.consumer_max_fetch_size >= max(topic.max_message_bytes for topic in declared().values())
    assert not list(app.tables)


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_reads_raw_bytes_one_stream_at_a_time(name: str) -> None:
    app = app_of(name)
    (agent,) = app.agents.values()
    assert agent.concurrency == 1
    assert agent.isolated_partitions is False
    channel = agent.channel
    assert set(channel.topics) == set(READS[name])
    assert (channel.key_serializer, channel.value_serializer) == ("raw", "raw")
    assert channel.key_type is None
    assert channel.value_type is None


def imports_faust(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Import | ast.ImportFrom) and "faust" in ast.dump(node) for node in ast.walk(tree))


SOURCES = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "streams").rglob("*.py")}
ON_FAUST = {path: tree for path, tree in sorted(SOURCES.items()) if imports_faust(tree)}


@pytest.mark.parametrize("path", ON_FAUST)
def test_no_module_uses_what_acknowledges_on_its_own(path: str) -> None:
    tree = ON_FAUST[path]
    called = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
    given = {keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords}
    assert not (called | given) & FORBIDDEN
    assert "noack" not in called or path == "streams/app.py"
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)):
        assert not any(isinstance(node, ast.Yield) for node in ast.walk(function)), "an agent that yields obeys Faust-Ag-ReplyTo"
