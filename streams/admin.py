"""The topics of a cluster: read them, and make them match topics.yaml (topic_plan.py decides, this acts)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streams import topics
from streams.errors import UserError
from streams.settings import Settings
from streams.topic_plan import RULES, Change, Found, Wanted, plan, wanted

TIMEOUT_S = 5.0
READY_S = 30.0
POLL_S = 0.05

HINTS = {
    KafkaError.INVALID_REPLICATION_FACTOR: "set ESPMAIL_REPLICATION to at most the number of its brokers",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "give this user the right to create and alter topics",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "give this user the right to create and alter topics",
}


class ClusterError(UserError):
    """The cluster does not answer, or refuses what was asked."""


class TopicsDiffer(UserError):
    """The cluster's topics are not as declared: keys, ledgers or events could be lost by working on them."""


class TopicsRefused(UserError):
    """Making the topics match would break keys or lose events. Nothing was changed."""

    def __init__(self, changes: Sequence[Change]) -> None:
        lines = [f"{c.topic}: {c.setting} is {c.found}, declared {c.wanted}; {c.do}" for c in changes]
        super().__init__("\n".join(lines))


def connect(bootstrap: str) -> AdminClient:
    """A client of a cluster that answers. Raises ClusterError within TIMEOUT_S if none does."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        client.list_topics(timeout=TIMEOUT_S)
    except KafkaException:
        raise ClusterError(f"no Kafka answers at {bootstrap}; start it (`espmail kafka`) or set ESPMAIL_KAFKA to one that runs") from None
    return client


def declared(settings: Settings) -> list[Wanted]:
    """The topics that this installation should have. Raises TopicsError if topics.yaml is malformed."""
    return wanted(topics.declared().values(), partitions=settings.partitions, replication=settings.replication)


def changes(settings: Settings) -> list[Change]:
    """What `apply` would do. Raises ClusterError, TopicsError."""
    topics_wanted = declared(settings)
    return plan(topics_wanted, found(connect(settings.bootstrap), topics_wanted))


def require(settings: Settings) -> None:
    """For a process that is about to read or write: raises TopicsDiffer unless every topic is as declared, or ClusterError."""
    if differing := sorted({change.topic for change in changes(settings)}):
        raise TopicsDiffer(
            f"{', '.join(differing)}: missing on {settings.bootstrap}, or not as declared; `espmail topics plan` shows how,"
            " `espmail topics apply` mends what is safe"
        )


def apply(settings: Settings) -> list[Change]:
    """Make the cluster match; returns what was changed, when every topic can be written to. May be repeated.

    Raises TopicsRefused before anything was changed, or ClusterError; topics made until then stay, and the next run goes on.
    """
    client = connect(settings.bootstrap)
    topics_wanted = declared(settings)
    todo = plan(topics_wanted, found(client, topics_wanted))
    if refused := [change for change in todo if change.verdict == "refuse"]:
        raise TopicsRefused(refused)
    by_name = {topic.name: topic for topic in topics_wanted}
    _create(client, [by_name[change.topic] for change in todo if change.verdict == "create"])
    _alter(client, [change for change in todo if change.verdict == "alter"])
    _wait_until(lambda there: all(_led(there.get(name)) for name in by_name), client, "topics have no leaders")
    return todo


def delete(settings: Settings) -> None:
    """Delete every declared topic with all its events: for tests, and for an installation that starts over. Raises ClusterError."""
    client = connect(settings.bootstrap)
    there = _listed(client)
    doomed = [topic.name for topic in declared(settings) if topic.name in there]
    if doomed:
        _results(client.delete_topics(doomed, operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S), KafkaError.UNKNOWN_TOPIC_OR_PART)
        _wait_until(lambda there: not set(doomed) & set(there), client, "deleted topics are still there")


def found(client: AdminClient, names: Iterable[Wanted]) -> dict[str, Found]:
    """Those of the topics that exist, as they stand. Raises ClusterError."""
    there = _listed(client)
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in names if topic.name in there]
    described = _results(client.describe_configs(resources, request_timeout=TIMEOUT_S)) if resources else {}
    return {resource.name: _found(there[resource.name], entries) for resource, entries in described.items()}


def _found(topic: Any, entries: Mapping[str, ConfigEntry]) -> Found:
    copies = min(len(partition.replicas) for partition in topic.partitions.values())
    return Found(len(topic.partitions), copies, {name: str(entries[name].value) for name in RULES})


def _create(client: AdminClient, missing: Sequence[Wanted]) -> None:
    if missing:
        new = [NewTopic(t.name, num_partitions=t.partitions, replication_factor=t.replication, config=dict(t.config)) for t in missing]
        _results(client.create_topics(new, request_timeout=TIMEOUT_S), KafkaError.TOPIC_ALREADY_EXISTS)


def _alter(client: AdminClient, altered: Sequence[Change]) -> None:
    if altered:
        _results(client.incremental_alter_configs([_resource(change) for change in altered], request_timeout=TIMEOUT_S))


def _resource(change: Change) -> ConfigResource:
    entry = ConfigEntry(change.setting, change.wanted, incremental_operation=AlterConfigOpType.SET)
    return ConfigResource(ResourceType.TOPIC, change.topic, incremental_configs=[entry])


def _results(futures: Mapping[Any, Any], fine: int | None = None) -> dict[Any, Any]:
    """What each future gives, without those that end in the error `fine`. Raises ClusterError for any other."""
    done = {}
    for asked, future in futures.items():
        try:
            done[asked] = future.result()
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() != fine:
                raise ClusterError(f"{asked}: the cluster says: {reason.str()}; {HINTS.get(reason.code(), 'see its log')}") from None
    return done


def _wait_until(true: Callable[[Mapping[str, Any]], bool], client: AdminClient, what: str) -> None:
    """Poll the cluster's topics: brokers learn a moment later than the controller."""
    deadline = time.monotonic() + READY_S
    while not true(_listed(client)):
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} after {READY_S:.0f} s; look at the brokers' logs")
        time.sleep(POLL_S)


def _listed(client: AdminClient) -> dict[str, Any]:
    """The topics that the cluster lists, by name; one that is just being made is listed without partitions, and left out."""
    try:
        listed = client.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise ClusterError(f"the cluster stopped answering ({error.args[0].str()}); look at the brokers' logs") from None
    return {name: topic for name, topic in listed.items() if topic.partitions}


def _led(topic: Any) -> bool:
    return topic is not None and all(partition.leader >= 0 for partition in topic.partitions.values())
