"""The way back from a request's row to the request itself: the tables say where its first record stands."""

from __future__ import annotations

from streams.codec import Undecodable, decode_as
from streams.errors import UserError
from streams.events import MessageRequest
from streams.reading import record_at
from streams.settings import Settings
from streams.topics import MESSAGE_REQUESTS


def request_at(settings: Settings, partition: int, offset: int) -> MessageRequest:
    """The request whose row has this `head_partition` and `head_offset`. Blocks. Raises UserError."""
    record = record_at(settings, MESSAGE_REQUESTS, partition, offset)
    try:
        return decode_as(MessageRequest, record.value)
    except Undecodable as error:
        place = f"{MESSAGE_REQUESTS}[{partition}]@{offset}"
        raise UserError(f"{place} is no request ({error}); the tables are of another Kafka: `espmail projections rebuild`") from error
