"""The acceptance examples' world (spec 9) for tests of outgoing mail, and one call from a document to its lines."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.domain.outgoing.dry_run import dry_run
from streams.domain.outgoing.expansion import Facts
from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.request import parse_request
from streams.domain.outgoing.unsubscribe import Keyring
from streams.events import Composed, EmailQueued, RecipientSkipped

WORLD = json.loads((Path(__file__).parent.parent / "golden" / "outgoing_world.json").read_text(encoding="utf-8"))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEYRING = Keyring((bytes(range(32)),))


def document(*people: str | dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The world's request to some of its people (or to people given whole), with some fields replaced."""
    found = [dict(WORLD["people"][person]) if isinstance(person, str) else person for person in people]
    return {**json.loads(json.dumps(WORLD["request"])), "recipients": found, **changes}


@dataclass(frozen=True)
class Expanded:
    queued: list[EmailQueued]
    skipped: list[RecipientSkipped]
    gaps: Counter[str]

    @property
    def first(self) -> Composed:
        content = self.queued[0].content
        assert isinstance(content, Composed)
        return content


def expanded(
    request: dict[str, Any], now: datetime = NOW, policy: Policy | None = None, suppressed: dict[str, str] | None = None
) -> Expanded:
    """Everything that `request` comes to; `suppressed` is by address hash. Raises RequestRefused."""
    chosen = policy or Policy()
    gaps: Counter[str] = Counter()
    facts = Facts((suppressed or {}).get, KEYRING)
    lines = list(dry_run(parse_request(request, now, chosen), facts, now, chosen, gaps).lines)
    return Expanded(
        [line for line in lines if isinstance(line, EmailQueued)], [line for line in lines if isinstance(line, RecipientSkipped)], gaps
    )
