"""A gateway whose Kafka client gives up for good when it is told to: `python -m tests.services.fatal`, then SIGUSR1.

The error is a real one inside librdkafka, raised by the function that it has for such tests; Python's client does not hand it on.
"""

from __future__ import annotations

import ctypes
import signal
from pathlib import Path
from typing import Any

import confluent_kafka

from cli import gateway as command
from gateway import serve
from streams.publisher import KafkaPublisher

LOST_SEQUENCE = 45  # RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER
POINTER = ctypes.sizeof(ctypes.c_void_p)


def break_for_good(publisher: KafkaPublisher) -> None:
    """The idempotent producer finds that the broker's sequence is not its own."""
    (library,) = (Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs").glob("librdkafka-*")
    fail = ctypes.CDLL(str(library)).rd_kafka_test_fatal_error
    fail.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
    client = ctypes.c_void_p.from_address(id(publisher._producer) + 2 * POINTER)  # behind Python's own two words
    assert fail(client, LOST_SEQUENCE, b"as the test wished") == 0


class Breaking(KafkaPublisher):
    """Breaks on SIGUSR1."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._loop.add_signal_handler(signal.SIGUSR1, break_for_good, self)


if __name__ == "__main__":
    setattr(serve, "KafkaPublisher", Breaking)  # noqa: B010 - what serve() makes
    command.command()
