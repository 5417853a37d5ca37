"""`espmail topics plan|apply` on the real broker."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from streams import admin, topics
from streams.settings import Settings
from tests.conftest import ROOT
from tests.services.env import environment
from tests.services.ports import HOST, free_ports
from tests.services.records import produce, read
from tests.services.until import until

pytestmark = pytest.mark.broker


def espmail(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(settings), capture_output=True, text=True, timeout=60, check=False)


def set_by_hand(settings: Settings, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    client.incremental_alter_configs([resource])[resource].result()
    wanted = admin.declared(settings)
    until(lambda: admin.found(client, wanted)[topic].config[name] == value, f"{topic} has {name}={value}")


def test_apply_makes_every_declared_topic_and_a_second_run_nothing(fresh_topics: Settings) -> None:
    assert admin.changes(fresh_topics) == []
    assert admin.apply(fresh_topics) == []
    again = espmail(fresh_topics, "topics", "apply")
    assert (again.returncode, again.stdout) == (0, "nothing to do: every topic is as declared\n")


def test_a_new_topic_takes_records_at_once(fresh_topics: Settings) -> None:
    for name in topics.declared():
        assert produce(fresh_topics.bootstrap, name, [b"value"]) == [b"value"], name


def test_plan_changes_nothing(fresh_topics: Settings) -> None:
    admin.delete(fresh_topics)
    run = espmail(fresh_topics, "topics", "plan", "--json")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0
    assert [line["topic"] for line in lines] == list(topics.declared())
    assert {line["verdict"] for line in lines} == {"create"}
    assert len(admin.changes(fresh_topics)) == len(lines)


def test_apply_sets_right_what_is_safe(fresh_topics: Settings) -> None:
    set_by_hand(fresh_topics, topics.EMAILS_BULK, "retention.ms", "1000")
    set_by_hand(fresh_topics, topics.DELIVERIES, "max.message.bytes", "2000000")
    run = espmail(fresh_topics, "topics", "apply")
    assert run.returncode == 0
    assert run.stdout.splitlines() == [
        "~ emails.bulk: retention.ms 1000 -> 2592000000",
        "~ deliveries: max.message.bytes 2000000 -> 1048576",
    ]
    until(lambda: admin.changes(fresh_topics) == [], "the change reached the broker")


def test_k09_what_would_lose_events_is_refused_and_then_nothing_is_changed(fresh_topics: Settings) -> None:
    set_by_hand(fresh_topics, topics.EMAILS_BULK, "retention.ms", "-1")
    set_by_hand(fresh_topics, topics.ROUTINGS, "retention.ms", "1000")  # would be safe to mend
    set_by_hand(fresh_topics, topics.PEOPLE, "cleanup.policy", "delete")
    before = admin.changes(fresh_topics)
    run = espmail(fresh_topics, "topics", "apply")
    assert (run.returncode, run.stdout) == (1, "")
    first, second = run.stderr.splitlines()
    assert first.startswith("espmail: emails.bulk: retention.ms is -1, declared 2592000000; ")
    assert second.startswith("espmail: people: cleanup.policy is delete, declared compact; ")
    assert admin.changes(fresh_topics) == before


def test_f19_another_number_of_partitions_is_refused(fresh_topics: Settings) -> None:
    run = espmail(replace(fresh_topics, partitions=5), "topics", "apply")
    assert run.returncode == 1
    assert all("set ESPMAIL_PARTITIONS=4" in line for line in run.stderr.splitlines())
    planned = espmail(replace(fresh_topics, partitions=5), "topics", "plan")
    assert planned.returncode == 1
    assert "! emails.bulk: partitions 4 -> 5; " in planned.stdout


def test_f19_k09_a_worker_refuses_to_start_on_topics_that_are_not_as_declared(fresh_topics: Settings) -> None:
    set_by_hand(fresh_topics, topics.DELIVERIES, "retention.ms", "1000")
    run = espmail(fresh_topics, "worker")
    assert run.returncode == 1
    assert run.stderr.startswith("espmail: deliveries: missing on ")
    assert len(run.stderr.splitlines()) == 1
    other = espmail(replace(fresh_topics, partitions=5), "worker", "--agents", "send.bulk")
    assert (other.returncode, len(other.stderr.splitlines())) == (1, 1)


def test_topics_that_are_not_ours_are_left_alone(fresh_topics: Settings) -> None:
    client = AdminClient({"bootstrap.servers": fresh_topics.bootstrap})
    client.create_topics([NewTopic("somebody-elses", 2, 1)])["somebody-elses"].result()
    try:
        produce(fresh_topics.bootstrap, "somebody-elses", [b"theirs"])
        admin.delete(fresh_topics)
        admin.apply(fresh_topics)
        assert [record.value() for record in read(fresh_topics.bootstrap, "somebody-elses")] == [b"theirs"]
    finally:
        client.delete_topics(["somebody-elses"])["somebody-elses"].result()


def test_more_copies_than_brokers_is_one_line(fresh_topics: Settings) -> None:
    admin.delete(fresh_topics)
    run = espmail(replace(fresh_topics, replication=3), "topics", "apply")
    assert run.returncode == 1
    assert "set ESPMAIL_REPLICATION to at most the number of its brokers" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_a_broker_that_is_down_is_one_line() -> None:
    down = Settings(kafka=f"{HOST}:{free_ports()}")
    for arguments in (["topics", "plan"], ["topics", "apply"], ["worker"]):
        run = espmail(down, *arguments)
        assert (run.returncode, run.stdout) == (1, "")
        assert (
            run.stderr == f"espmail: no Kafka answers at {down.kafka}; start it (`espmail kafka`) or set ESPMAIL_KAFKA to one that runs\n"
        )
