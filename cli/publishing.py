"""Records from a command to Kafka, confirmed before the command answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from streams import admin
from streams.errors import UserError
from streams.publisher import KafkaPublisher, PublishFailed, Record, batches
from streams.settings import Settings

TIMEOUT_S = 20.0
AT_ONCE = 20_000
BYTES_AT_ONCE = 1_000_000


class NotTaken(UserError):
    """Kafka stopped answering. `confirmed` records stand on their topics, and maybe some of the next."""

    def __init__(self, text: str, confirmed: int) -> None:
        super().__init__(text)
        self.confirmed = confirmed


def publish(settings: Settings, records: Iterable[Record]) -> None:
    """Blocks until the broker has acknowledged all. Raises UserError; if that is NotTaken, some may stand on their topics: say it again.

    Saying it again is harmless: events are known by their ids, rows by their keys. Records made lazily are never in memory whole.
    """
    admin.connect(settings.bootstrap)
    asyncio.run(_publish(settings, records))


async def _publish(settings: Settings, records: Iterable[Record]) -> None:
    publisher, confirmed = KafkaPublisher(settings.bootstrap, timeout_s=TIMEOUT_S), 0
    try:
        for batch in batches(records, AT_ONCE, BYTES_AT_ONCE):
            await publisher.publish(batch)
            confirmed += len(batch)
    except PublishFailed as error:
        text = f"Kafka at {settings.bootstrap} did not take it ({error}); run the command again, that is harmless"
        raise NotTaken(text, confirmed) from error
    finally:
        await publisher.close()
