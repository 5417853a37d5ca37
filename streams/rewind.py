"""Moving an agent's consumer group back in its topics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from streams import admin
from streams.errors import UsageError, UserError
from streams.reads import READS
from streams.settings import Settings

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Rewind:
    """One partition: the offset to go on from, and how many records that means."""

    topic: str
    partition: int
    to_offset: int
    records: int


def group_of(settings: Settings, agent: str) -> str:
    """The consumer group of an agent."""
    return f"{settings.app}.{agent}"


def plan(settings: Settings, agent: str, since: datetime | None) -> list[Rewind]:
    """What `rewind` would do; `since` none means from the beginning. Raises UserError, ClusterError."""
    if agent not in READS:
        raise UsageError(f"there is no agent {agent!r}; there are {', '.join(READS)}")
    client = admin.connect(settings.bootstrap)
    metadata = client.list_topics(timeout=TIMEOUT_S).topics
    parts = [TopicPartition(topic, number) for topic in READS[agent] if topic in metadata for number in sorted(metadata[topic].partitions)]
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "replay: never joined", "log_level": 3})
    try:
        return [_rewind(consumer, part, since) for part in parts]
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error}); nothing was changed, try again") from error
    finally:
        consumer.close()


def rewind(settings: Settings, agent: str, rewinds: list[Rewind]) -> None:
    """Set the group's offsets. Raises UserError if the agent runs, or Kafka refuses; then nothing was changed."""
    client = admin.connect(settings.bootstrap)
    group = group_of(settings, agent)
    members = _members(client, group)
    if members:
        raise UserError(f"{agent} runs ({members} of it); stop it first, or it would go on from where it is")
    parts = [TopicPartition(one.topic, one.partition, one.to_offset) for one in rewinds]
    futures = client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, parts)])
    try:
        futures[group].result(TIMEOUT_S)
    except KafkaException as error:
        raise UserError(f"Kafka refused to move {agent} ({error}); is it stopped everywhere?") from error


def _rewind(consumer: Consumer, part: TopicPartition, since: datetime | None) -> Rewind:
    low, high = consumer.get_watermark_offsets(part, timeout=TIMEOUT_S)
    start = low if since is None else _offset_at(consumer, part, since, high)
    return Rewind(part.topic, part.partition, start, high - start)


def _offset_at(consumer: Consumer, part: TopicPartition, since: datetime, high: int) -> int:
    wanted = TopicPartition(part.topic, part.partition, int(since.timestamp() * 1000))
    found: int = consumer.offsets_for_times([wanted], timeout=TIMEOUT_S)[0].offset
    return found if found >= 0 else high


def _members(client: Any, group: str) -> int:
    try:
        return len(client.describe_consumer_groups([group])[group].result(TIMEOUT_S).members)
    except KafkaException:
        return 0  # a group that never was has no members; any other trouble is said by the change itself
