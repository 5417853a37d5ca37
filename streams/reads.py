"""Who reads what: the agents by name, each with the topics of its consumer group."""

from __future__ import annotations

from streams.topics import DELAYS_S, EMAILS_BULK, EMAILS_URGENT, FEEDBACK, INBOUND_MAIL, MESSAGE_REQUESTS, MESSAGE_REQUESTS_BULK, MODERATION

READS: dict[str, tuple[str, ...]] = {
    "expand": (MESSAGE_REQUESTS,),
    "expand.bulk": (MESSAGE_REQUESTS_BULK,),
    "route": (INBOUND_MAIL, MODERATION),
    "send.urgent": (EMAILS_URGENT,),
    "send.bulk": (EMAILS_BULK,),
    "feedback": (FEEDBACK,),
    "delay": tuple(DELAYS_S),
}
NAMES = tuple(READS)
