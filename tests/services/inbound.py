"""Inbound mails for tests: the world of spec 9, and mails written as few words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.domain import ids
from streams.domain.routing.document import directory_from_json
from streams.domain.routing.fields import canonical
from streams.domain.routing.model import Inbound

WORLD_FILE = Path(__file__).parent.parent / "golden" / "inbound_world.json"
DOMAIN = "yale.learningu.org"
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
TESS = "tess@x.org"


def world(**changes: Any) -> dict[str, Any]:
    """The DIRECTORY.json of spec 9, its top-level keys replaced by these."""
    return {**json.loads(WORLD_FILE.read_text(encoding="utf-8")), **changes}


def directory(**changes: Any) -> Any:
    """The Directory of that world."""
    return directory_from_json(world(**changes))


def content(*head: str, sender: str | None = TESS, subject: str | None = "Hi", body: bytes = b"Hello.\r\n") -> bytes:
    """A whole mail: these header lines, a From and a Subject unless they are none, and the body; raw 8-bit as Latin-1."""
    lines = [*head]
    lines += [f"From: {sender}"] if sender is not None else []
    lines += [f"Subject: {subject}"] if subject is not None else []
    return canonical("".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body)


def mail(raw: bytes, to: str, mail_from: str = TESS) -> Inbound:
    """A canonical content as received for one address; a bare local part is of the world's site."""
    rcpt_to = to if "@" in to else f"{to}@{DOMAIN}"
    return Inbound(ids.inbound_id(mail_from, rcpt_to, raw), NOW, mail_from, rcpt_to, raw)
