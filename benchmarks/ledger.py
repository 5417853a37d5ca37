"""How fast a ledger is rebuilt: `python -m benchmarks.ledger [IDS]`. One partition's events, from their bytes into SQLite.

Each id has its two events (attempting, sent), in batches as the agent folds them. Prints ids a second and the memory it took.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from streams import codec, topics
from streams.events import EmailAttempting, EmailSent
from streams.state import skim
from streams.state.catch_up import BATCH
from streams.state.ledger import Ledger

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
SIZE = 2500


def events_of(email_id: str) -> tuple[bytes, bytes]:
    attempting = EmailAttempting(email_id, "request", NOW, 1, "owner", "0" * 64, topics.EMAILS_BULK, 0, 0)
    sent = EmailSent(email_id, "request", NOW, 1, f"<{email_id}@splash.example.org>", "127.0.0.1:25", "250 2.0.0 taken", SIZE)
    return codec.encode(attempting), codec.encode(sent)


def main(ids: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.sqlite"
        ledger, spent, offset = Ledger(path), 0.0, 0
        templates = events_of("0" * 36)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for begin in range(0, ids, BATCH // 2):
            made = [str(uuid.uuid4()).encode() for _ in range(min(BATCH // 2, ids - begin))]
            values = [template.replace(b"0" * 36, email_id, 1) for email_id in made for template in templates]
            offset += len(values)
            started = time.perf_counter()
            ledger.fold([skim.entry(value) for value in values], offset)
            spent += time.perf_counter() - started
        ledger.close()
        memory_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        disk_mb = path.stat().st_size / 2**20
        print(f"{ids} ids in {spent:.1f} s: {ids / spent:.0f} ids/s; {memory_mb:.0f} MB more memory, {disk_mb:.0f} MB on disk")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
