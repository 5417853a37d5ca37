"""An email's id and standing straight from the bytes of an event on `deliveries`: what a ledger of millions is rebuilt by.

Every such schema begins with email_id, request_id, at and attempt, so the rest need not be decoded. A version that begins
otherwise is decoded whole; the tests hold both ways against each other.
"""

from __future__ import annotations

from functools import cache

from schemas import registry
from streams import codec, events
from streams.domain.states import TRANSITIONS
from streams.state.ledger import Entry, email_entry, key_of, standing

HEAD = codec.HEAD_LENGTH
BEGINS = (
    ("email_id", "string"),
    ("request_id", ["null", "string"]),
    ("at", {"type": "long", "logicalType": "timestamp-micros"}),
    ("attempt", "long"),
)


def entry(value: bytes | None) -> Entry | None:
    """As email_entry of the decoded event. Raises codec.Undecodable."""
    kind = _kinds().get(value[:HEAD]) if value else None
    if value is None or kind is None:
        return email_entry(codec.decode(value))
    try:
        length, at = _long(value, HEAD)
        email_id = value[at : at + length].decode()
        has_request, at = _long(value, at + length)
        if has_request:
            length, at = _long(value, at)
            at += length
        _, at = _long(value, at)
        attempt, _ = _long(value, at)
    except (IndexError, UnicodeDecodeError):
        raise codec.Undecodable("damaged: it ends too soon") from None
    return key_of(email_id), standing(TRANSITIONS[kind], attempt)


def _long(data: bytes, at: int) -> tuple[int, int]:
    """An Avro long and where it ends. Raises IndexError behind the end."""
    byte = data[at]
    value, shift = byte & 0x7F, 7
    while byte & 0x80:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value >> 1) ^ -(value & 1), at + 1


@cache
def _kinds() -> dict[bytes, type]:
    """The events that can be skimmed, by the head of their records."""
    known = {kind.__name__: kind for kind in TRANSITIONS if kind is not events.EmailQueued}
    return {head: known[version.event] for head, version in registry.versions().items() if version.event in known and _begins(version)}


def _begins(version: registry.Version) -> bool:
    fields = version.schema["fields"][: len(BEGINS)]
    return tuple((field["name"], field["type"]) for field in fields) == BEGINS
