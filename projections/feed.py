"""The records of the projected topics, in each partition's order, from any position. No consumer group is involved."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from projections.rows import Where
from streams import topics
from streams.errors import UserError

TIMEOUT_S = 5.0
PROBE_S = 1.0
PAUSE_S = 0.2
EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
Partition = tuple[str, int]
log = logging.getLogger(__name__)


class BrokerGone(UserError):
    """No broker answered for longer than allowed."""


class TopicsMissing(UserError):
    """A topic to project does not exist."""


class Unread(UserError):
    """Records that were to be read are no longer, or not yet, on their topic."""


class FeedRecord(NamedTuple):
    """One record as it stands on its topic; `timestamp` is in ms since 1970, by the broker's clock or its writer's."""

    where: Where
    key: bytes | None
    value: bytes | None
    timestamp: int


class Extent(NamedTuple):
    """A partition now: its first offset still kept, the offset behind its last, and the id of its topic's incarnation."""

    low: int
    high: int
    topic_id: str


def projected() -> list[str]:
    """The topics that topics.yaml says the projector reads."""
    return [topic.name for topic in topics.declared().values() if "project" in topic.read_by]


class Feed:
    """One reader of all partitions. `close` it; until then it belongs to one thread."""

    def __init__(self, bootstrap: str, deadline_s: float = 60.0) -> None:
        """Connects lazily. `deadline_s`: how long no broker may answer."""
        self._bootstrap = bootstrap
        self._deadline_s = deadline_s
        self._silent_since: float | None = None
        self.reached: dict[Partition, int] = {}  # the offset behind the last record taken, or the partition's end where that was seen
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "projections: never joined",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                # A fetch for every few records would cost the broker more than all the rest of reading.
                "fetch.min.bytes": 65_536,
                "fetch.wait.max.ms": 200,
                "queued.max.messages.kbytes": 32_768,
                "error_cb": self._on_error,
                "log_level": 0,
            }
        )

    def extents(self) -> dict[Partition, Extent]:
        """Every partition of the projected topics. Blocks; raises BrokerGone, or TopicsMissing."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                ids = self._topic_ids()
                lows, highs = self._offsets(ids, EARLIEST), self._offsets(ids, LATEST)
                return {partition: Extent(low, highs[partition], ids[partition]) for partition, low in lows.items()}
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise self._explained(error.args[0]) from None
                time.sleep(PAUSE_S)  # a broker that just started, or topics that were just made

    def start(self, positions: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets on; what was taken before is forgotten."""
        self.reached = dict(positions)
        self._consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()])

    def take(self, most: int, wait_s: float) -> list[FeedRecord]:
        """The next records, at most `most`; waits up to `wait_s` for them, and longer for a broker that does not answer.

        Raises BrokerGone after the deadline, or Unread.
        """
        messages = self._consumer.consume(most, wait_s)
        if not messages and self._silent_since is not None:
            self._probe()
        return [self._record(message) for message in messages if self._is_record(message)]

    def ends(self) -> dict[Partition, int]:
        """The offset behind the last record of each partition that is read, as far as the broker's answers have told. Asks nobody."""
        known = {partition: self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True) for partition in self.reached}
        return {partition: found[1] for partition, found in known.items() if found[1] >= 0}

    def at_end(self, ends: Mapping[Partition, int]) -> bool:
        """True when everything before these offsets has been taken."""
        return all(self.reached.get(partition, 0) >= end for partition, end in ends.items())

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _record(self, message: Message) -> FeedRecord:
        where = _where(message)
        self._silent_since = None
        self.reached[where[:2]] = where.offset + 1
        return FeedRecord(where, message.key(), message.value(), message.timestamp()[1])

    def _is_record(self, message: Message) -> bool:
        error, where = message.error(), _where(message)
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self.reached[where[:2]] = where.offset  # past holes that hold no records
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise Unread(
                f"{where.topic}[{where.partition}] does not hold the next record to fold ({error.str()}); start again to see what is left"
            )
        else:
            log.warning("%s[%s]: %s", where.topic, where.partition, error.str())
        return False

    def _topic_ids(self) -> dict[Partition, str]:
        futures = self._admin.describe_topics(TopicCollection(projected()), request_timeout=TIMEOUT_S)
        described = [future.result() for future in futures.values()]
        return {(topic.name, partition.id): str(topic.topic_id) for topic in described for partition in topic.partitions}

    def _offsets(self, partitions: Iterable[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        futures = self._admin.list_offsets({TopicPartition(*partition): spec for partition in partitions}, request_timeout=TIMEOUT_S)
        return {(asked.topic, asked.partition): future.result().offset for asked, future in futures.items()}

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._silent_since is None:
            self._silent_since = time.monotonic()

    def _probe(self) -> None:
        """The client reconnects by itself but does not say so: ask."""
        try:
            self._consumer.list_topics(topics.DELIVERIES, timeout=PROBE_S)
        except KafkaException as error:
            log.warning("Kafka: %s; trying again", error.args[0].str())
            if self._silent_since is not None and time.monotonic() - self._silent_since > self._deadline_s:
                raise self._explained(error.args[0]) from None
        else:
            self._silent_since = None

    def _explained(self, error: KafkaError) -> UserError:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return TopicsMissing(f"a topic is missing at {self._bootstrap} ({error.str()}); run `espmail topics apply`")
        return BrokerGone(
            f"no Kafka answers at {self._bootstrap} ({error.str()}); start it (`espmail kafka`) or set ESPMAIL_KAFKA to one that runs"
        )


def _where(message: Message) -> Where:
    return Where(*cast("tuple[str, int, int]", (message.topic(), message.partition(), message.offset())))
