"""What would make a cluster's topics match topics.yaml, decided purely: create, alter what is safe, refuse the rest.

Refused is whatever would break keys (another number of partitions sends a key elsewhere, past its ledger) or lose
events (shorter retention, delete <-> compact, fewer copies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from streams.topics import Topic

FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should stand on the cluster."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as it stands there; `replication` is that of its least copied partition."""

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan. `do` says to the operator what to do about a refusal; for the rest it is empty."""

    topic: str
    verdict: Literal["create", "alter", "refuse"]
    setting: str
    found: str
    wanted: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a topic's setting may be changed to what is wanted, and what to do where it may not."""

    safe: Callable[[str, str], bool] = field(default=lambda _found, _wanted: True)
    do: str = ""


def _not_shorter(found: str, wanted: str) -> bool:
    return int(wanted) == FOR_EVER or (int(found) != FOR_EVER and int(wanted) >= int(found))


RULES: dict[str, Rule] = {
    # delete -> compact drops all but the newest record of a key; compact -> delete drops rows that still hold
    "cleanup.policy": Rule(
        lambda _found, _wanted: False, "copy the topic to a new one, or delete it if nothing of it is needed, and apply again"
    ),
    # a shorter time or a smaller size deletes events at once
    "retention.ms": Rule(_not_shorter, "shorten it yourself if the older events may go, or declare the longer time in schemas/topics.yaml"),
    "retention.bytes": Rule(_not_shorter, "no limit on size is wanted; take the topic's own away"),
    # fewer copies that must confirm: an acknowledged event could be lost with one disk
    "min.insync.replicas": Rule(
        lambda found, wanted: int(wanted) >= int(found), "set ESPMAIL_REPLICATION=3 as this cluster has it, or lower it yourself"
    ),
    "max.message.bytes": Rule(),  # records that stand already stay readable either way
    "unclean.leader.election.enable": Rule(),  # wanted off: a lagging copy must never become the truth
}


def wanted(declared: Iterable[Topic], *, partitions: int, replication: int) -> list[Wanted]:
    """The declared topics, as an installation of these settings wants them."""
    return [
        Wanted(
            name=topic.name,
            partitions=topic.partitions or partitions,
            replication=replication,
            config={
                **topic.retention(),
                "max.message.bytes": str(topic.max_message_bytes),
                "min.insync.replicas": "2" if replication > 2 else "1",  # with 2 of 2 the loss of one broker would stop all mail
                "unclean.leader.election.enable": "false",
            },
        )
        for topic in declared
    ]


def plan(topics: Iterable[Wanted], cluster: Mapping[str, Found]) -> list[Change]:
    """Every difference, in the order of `topics`; empty if the cluster matches. Topics that are not declared are not looked at."""
    return [change for topic in topics for change in _changes(topic, cluster.get(topic.name))]


def _changes(topic: Wanted, found: Found | None) -> list[Change]:
    if found is None:
        kept = topic.config["cleanup.policy"] if "retention.ms" not in topic.config else f"retention.ms {topic.config['retention.ms']}"
        return [Change(topic.name, "create", "topic", "", f"{topic.partitions} partitions, {topic.replication} copies, {kept}")]
    return [*_shape(topic, found), *_config(topic, found)]


def _shape(topic: Wanted, found: Found) -> Iterable[Change]:
    if found.partitions != topic.partitions:
        do = (
            f"set ESPMAIL_PARTITIONS={found.partitions} as this cluster has it; a live topic keeps its number,"
            " since a key that moves leaves its history behind"
        )
        yield Change(topic.name, "refuse", "partitions", str(found.partitions), str(topic.partitions), do)
    if found.replication < topic.replication:
        do = "add copies with Kafka's kafka-reassign-partitions tool, then apply again"
        yield Change(topic.name, "refuse", "replication", str(found.replication), str(topic.replication), do)


def _config(topic: Wanted, found: Found) -> Iterable[Change]:
    for name, value in topic.config.items():
        now = found.config[name]
        if now == value:
            continue
        rule = RULES[name]
        safe = rule.safe(now, value)
        yield Change(topic.name, "alter" if safe else "refuse", name, now, value, "" if safe else rule.do)
