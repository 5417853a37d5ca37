"""Records to Kafka, confirmed: a publish returns when the broker has acknowledged (acks=all), or raises.

confluent-kafka's idempotent producer; its delivery reports arrive on a thread of their own and are handed to the
event loop in batches, one wake-up for many records. Nothing here retries beyond what librdkafka does within `timeout_s`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from streams import codec

POLL_S = 0.1
BY_KEY = -1
MAX_RECORD = 9_437_184  # the largest max_message_bytes of topics.yaml


class PublishFailed(RuntimeError):
    """The broker did not acknowledge. Whether the record stands on the topic is unknown.

    Publishing it again is safe for readers, who know events by their ids.
    """


class RecordTooLarge(PublishFailed):
    """The topic will never take this record; publishing it again cannot help."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to be: `trace` goes into the Kafka header of that name, and nothing else goes into headers.

    Its key chooses the partition, unless `partition` says that it must stand beside another topic's record.
    """

    topic: str
    key: bytes
    value: bytes | None
    trace: str = ""
    partition: int = BY_KEY

    @classmethod
    def of(cls, topic: str, key: str, event: Any, trace: str = "") -> Record:
        """The record of an event. Raises ValueError if the event does not fit its schema."""
        return cls(topic, key.encode(), codec.encode(event), trace)


class Publisher(Protocol):
    """What agents and the gateway need of Kafka."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Returns when the broker has acknowledged every record. Raises PublishFailed if it has not acknowledged all."""


def _nothing(_reason: str) -> None:
    """For a process that ends soon anyway."""


@dataclass(slots=True)
class Unconfirmed:
    """The records of one publish: how many the broker has not answered for, and the first failure."""

    count: int
    end: asyncio.Future[None]
    reports: deque[tuple[Unconfirmed, KafkaError | None]]
    failure: PublishFailed | None = None

    def report(self, error: KafkaError | None, _message: object) -> None:
        """Called in the thread that polls."""
        self.reports.append((self, error))

    def settle(self, failure: PublishFailed | None) -> None:
        """One more is answered for. Called in the event loop."""
        self.failure = self.failure or failure
        self.count -= 1
        if not self.count and not self.end.done():  # cancelled: nobody waits any more
            self.end.set_result(None)


class KafkaPublisher:
    """The real one. One a process; create it inside the running event loop, close() it before the loop ends."""

    def __init__(
        self, bootstrap: str, *, timeout_s: float = 30.0, linger_ms: float = 2.0, on_fatal: Callable[[str], Any] = _nothing, **config: Any
    ) -> None:
        """`on_fatal` is called, on another thread, when the client has given up for good: every publish fails from then on."""
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # as Java's clients place keys: whoever writes, a key has one partition
                "delivery.timeout.ms": int(timeout_s * 1000),
                "linger.ms": linger_ms,
                "message.max.bytes": MAX_RECORD,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 200_000,
                "log_level": 3,
                **config,
            }
        )
        self._on_fatal = on_fatal
        self._reports: deque[tuple[Unconfirmed, KafkaError | None]] = deque()
        self._settling = False
        self._closing = False
        self._poller = threading.Thread(target=self._poll, name="publisher", daemon=True)
        self._poller.start()

    async def publish(self, records: Sequence[Record]) -> None:
        """Returns when the broker has acknowledged every record. Raises PublishFailed if it has not acknowledged all."""
        if not records:
            return
        unconfirmed = Unconfirmed(len(records), self._loop.create_future(), self._reports)
        for record in records:
            self._produce(record, unconfirmed)
        await unconfirmed.end
        if unconfirmed.failure is not None:
            raise unconfirmed.failure

    async def close(self) -> None:
        """Wait for what is under way (at most its delivery timeout) and stop. May be called once."""
        await asyncio.to_thread(self._serve, self._producer.flush)
        self._closing = True
        await asyncio.to_thread(self._poller.join)

    def _produce(self, record: Record, unconfirmed: Unconfirmed) -> None:
        headers: list[tuple[str, str | bytes | None]] | None = [("trace", record.trace.encode())] if record.trace else None
        try:
            self._producer.produce(record.topic, record.value, record.key, record.partition, unconfirmed.report, headers=headers)
        except BufferError as error:
            unconfirmed.settle(PublishFailed(str(error)))
        except KafkaException as error:
            unconfirmed.settle(_failure(error.args[0]))

    def _poll(self) -> None:
        while not self._closing:
            if self._serve(lambda: self._producer.poll(POLL_S)) and self._reports and not self._settling:
                self._settling = True  # one wake-up settles whatever has come until it runs
                self._loop.call_soon_threadsafe(self._settle)

    def _serve(self, call: Callable[[], int]) -> int:
        """How many reports came. The client raises here, once, what it cannot mend: a lost sequence, a fenced epoch."""
        try:
            return call()
        except KafkaException as error:
            self._on_fatal(f"Kafka's client cannot go on ({error.args[0].str()})")
            return 1  # reports may have come with it

    def _settle(self) -> None:
        self._settling = False
        while self._reports:
            unconfirmed, error = self._reports.popleft()
            unconfirmed.settle(None if error is None else _failure(error))


def _failure(error: KafkaError) -> PublishFailed:
    kind = RecordTooLarge if error.code() == KafkaError.MSG_SIZE_TOO_LARGE else PublishFailed
    return kind(error.str())


def events(topic: str, keyed: Iterable[tuple[str, Any]], trace: str = "") -> list[Record]:
    """Records of several events of one topic, from (key, event) pairs."""
    return [Record.of(topic, key, event, trace) for key, event in keyed]


def batches(records: Iterable[Record], most: int = 250, most_bytes: int = 2_000_000) -> Iterator[list[Record]]:
    """The records in order, so many or so much at once: what is made lazily is never in memory whole."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.value or b"")
        if len(batch) >= most or size >= most_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
