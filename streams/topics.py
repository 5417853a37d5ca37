"""Topics by name, read from schemas/topics.yaml: what each is for, how it is kept, which events may stand on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from streams.errors import UsageError

FILE = Path(__file__).parent.parent / "schemas" / "topics.yaml"
DAY_MS = 86_400_000

MESSAGE_REQUESTS = "message-requests"
MESSAGE_REQUESTS_BULK = "message-requests.bulk"
EXPANSIONS = "expansions"
REQUEST_CONTROLS = "request-controls"
EMAILS_URGENT = "emails.urgent"
EMAILS_BULK = "emails.bulk"
DELIVERIES = "deliveries"
INBOUND_MAIL = "inbound-mail"
ROUTINGS = "routings"
MODERATION = "moderation"
HELD_MAIL = "held-mail"
NOTICES = "notices"
SITES = "sites"
EMAIL_LISTS = "email-lists"
PEOPLE = "people"
ROSTERS = "rosters"
REDIRECTS = "redirects"
FEEDBACK = "feedback"
SUPPRESSIONS = "suppressions"
SOFT_BOUNCES = "soft-bounces"
DEAD_LETTERS = "dead-letters"
PAUSED = "paused"
LANES = {"urgent": EMAILS_URGENT, "bulk": EMAILS_BULK}
DELAYS_S = {"delay.10s": 10, "delay.1m": 60, "delay.10m": 600, "delay.1h": 3600, "delay.6h": 21600}


KEPT = re.compile(r"for-ever|compacted|(?P<days>[1-9][0-9]*) days")
NEEDED = ("description", "key", "partitions", "kept", "written_by", "read_by", "events")
OPTIONAL = ("max_message_bytes", "like")


class TopicsError(UsageError):
    """topics.yaml cannot be used; the message names the topic and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as declared. `partitions` is none where the settings decide (the lanes)."""

    name: str
    description: str
    key: str
    partitions: int | None
    kept: str
    max_message_bytes: int
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    events: tuple[str, ...]

    def retention(self) -> dict[str, str]:
        """The broker's configuration for `kept`."""
        if self.kept == "compacted":
            return {"cleanup.policy": "compact"}
        days = KEPT.fullmatch(self.kept)["days"]  # type: ignore[index] # parse() let no other through
        return {"cleanup.policy": "delete", "retention.ms": str(int(days) * DAY_MS) if days else "-1", "retention.bytes": "-1"}


@cache
def declared() -> dict[str, Topic]:
    """All topics of topics.yaml, by name. Raises TopicsError."""
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, Topic]:
    """The topics of a YAML document like topics.yaml, by name. Raises TopicsError."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TopicsError(f"schemas/topics.yaml is no YAML: {' '.join(str(error).split())}; mend that line") from None
    if not isinstance(raw, dict):
        raise TopicsError("schemas/topics.yaml names no topics; each is a key with its settings below it")
    return {name: _topic(name, _resolved(raw, name)) for name in raw}


def _resolved(raw: dict[str, Any], name: str) -> dict[str, Any]:
    entry = raw[name]
    like = entry.get("like", name) if isinstance(entry, dict) else name
    if not isinstance(entry, dict) or like not in raw:
        raise _wrong(name, "is like no other topic" if isinstance(entry, dict) else "has no settings below it")
    return {**raw[like], **entry}


def _topic(name: str, entry: dict[str, Any]) -> Topic:
    for key in entry:
        if key not in NEEDED + OPTIONAL:
            raise _wrong(name, f"there is no setting {key!r}; there are {', '.join(NEEDED + OPTIONAL)}")
    for key in NEEDED:
        if key not in entry:
            raise _wrong(name, f"says nothing about {key}")
    if not KEPT.fullmatch(str(entry["kept"])):
        raise _wrong(name, f"kept is for-ever, compacted or N days, not {entry['kept']!r}")
    if not (entry["partitions"] == "lanes" or _positive(entry["partitions"])):
        raise _wrong(name, f"partitions is lanes or a number from 1, not {entry['partitions']!r}")
    if not _positive(entry.get("max_message_bytes", 1)):
        raise _wrong(name, f"max_message_bytes is a number of bytes, not {entry['max_message_bytes']!r}")
    return Topic(
        name=name,
        description=entry["description"],
        key=entry["key"],
        partitions=None if entry["partitions"] == "lanes" else entry["partitions"],
        kept=entry["kept"],
        max_message_bytes=entry.get("max_message_bytes", 1_048_576),
        written_by=tuple(entry["written_by"]),
        read_by=tuple(entry["read_by"]),
        events=tuple(entry["events"]),
    )


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _wrong(name: str, what: str) -> TopicsError:
    return TopicsError(f"schemas/topics.yaml: topic {name}: {what}; mend that line")
