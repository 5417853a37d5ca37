"""What is known of each id of one partition: a fold of an outcome topic that keeps work from being done twice.

The sender's is of `deliveries`: an email's state and attempt, as one number that only grows (domain/states.py). Others are of
`expansions` and `routings` (state/done.py). Kept in a local SQLite file beside its offset: a cache, rebuilt from the topic
when lost. A repeated or reordered event changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from streams.domain.states import STANDING, TRANSITIONS, EmailState

Entry = tuple[bytes, int]
EntryOf = Callable[[Any], Entry | None]

SCHEMA = """
    CREATE TABLE IF NOT EXISTS email (id BLOB PRIMARY KEY, standing INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), next_offset INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS topic (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
"""
UPSERT = "INSERT INTO email VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET standing = max(standing, excluded.standing)"
POSITION = "INSERT INTO position VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET next_offset = excluded.next_offset"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux
MAPPED = 1 << 30  # bytes of the file that are read without being copied
MOST_LOOKED_UP = 20_000
FINAL_SHIFT, ATTEMPT_SHIFT = 40, 8
STATE_OF = {standing: state for state, standing in STANDING.items()}


def standing(state: EmailState, attempt: int) -> int:
    """A state and attempt as one number, in the order of states.step."""
    final, stage = STANDING[state]
    return final << FINAL_SHIFT | attempt << ATTEMPT_SHIFT | stage


def state_of(number: int) -> tuple[EmailState, int]:
    """The state and attempt that `standing` made."""
    final, rest = number >> FINAL_SHIFT, number & (1 << FINAL_SHIFT) - 1
    return STATE_OF[final, rest & (1 << ATTEMPT_SHIFT) - 1], rest >> ATTEMPT_SHIFT


def key_of(email_id: str) -> bytes:
    """The 16 bytes of a UUID; any other id as its text."""
    try:
        return bytes.fromhex(email_id.replace("-", ""))
    except ValueError:
        return email_id.encode()


def email_entry(event: Any) -> Entry | None:
    """An email's id and standing, by an event of `deliveries`; none for an event that says nothing of it."""
    state = TRANSITIONS.get(type(event))
    return None if state is None else (key_of(event.email_id), standing(state, event.attempt))


def forget_earlier_boot(path: Path) -> None:
    """Remove a ledger that was written before the machine was last started: a power cut may have left it in part, and nothing would tell."""
    beside, now = path.with_suffix(".boot"), boot_id()
    if not beside.exists() or beside.read_text(encoding="ascii") != now:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
        beside.write_text(now, encoding="ascii")


def boot_id() -> str:
    """Another one each time that the machine starts; always the same where the system has none."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "none"


class Ledger:
    """One partition's; `entry_of` says what an event means. `fold` belongs to one thread at a time, the rest to the agent's."""

    def __init__(self, path: Path, entry_of: EntryOf = email_entry) -> None:
        self._entry_of = entry_of
        path.parent.mkdir(parents=True, exist_ok=True)
        forget_earlier_boot(path)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA cache_size = -65536")  # kilobytes: the fold writes all over a big table
        self._db.execute("PRAGMA synchronous = OFF")  # a power cut may spoil it: see forget_earlier_boot
        self._db.executescript(SCHEMA)
        # The agent's own connection: it reads beside a fold that is under way (write-ahead log), never waits for it.
        self._reads = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._reads.execute(f"PRAGMA mmap_size = {MAPPED}")  # a fold makes every page that it kept of its own an old one
        self._looked_up: dict[bytes, int] = {}  # since the last fold; a mail is asked about again and again
        # Of mails in work, ahead of the fold: the topic has (or gets) the same events.
        self._noted: dict[bytes, int] = {}
        self.place_is_sure = False  # that the topic is the one it was folded from

    def belongs_to(self, topic_id: str) -> bool:
        """True if it was folded from this very topic, by Kafka's own id of it; one that never said is of this one from now on."""
        self._db.execute("INSERT INTO topic VALUES (1, ?) ON CONFLICT (one) DO NOTHING", (topic_id,))
        self.place_is_sure = self._db.execute("SELECT id FROM topic").fetchone() == (topic_id,)
        return self.place_is_sure

    @property
    def next_offset(self) -> int:
        """The first offset of `deliveries` that is not folded in."""
        row = self._db.execute("SELECT next_offset FROM position").fetchone()
        return row[0] if row else 0

    def state(self, email_id: str) -> tuple[EmailState, int] | None:
        """The email's state and attempt; none if nothing was ever recorded of it."""
        number = self.number(key_of(email_id))
        return None if number is None else state_of(number)

    def number(self, key: bytes) -> int | None:
        """The highest number recorded of a key; none if there is none."""
        number = max(self._noted.get(key, -1), self._folded(key))
        return None if number < 0 else number

    def _folded(self, key: bytes) -> int:
        """What stands in the file of a key; below 0 if nothing does."""
        known = self._looked_up  # a fold that ends meanwhile puts another in its place, so nothing old comes into that
        number = known.get(key)
        if number is None:
            row = self._reads.execute("SELECT standing FROM email WHERE id = ?", (key,)).fetchone()
            number = row[0] if row else -1
            if len(known) < MOST_LOOKED_UP:
                known[key] = number
        return number

    def note(self, event: Any) -> None:
        """Remember an event at once that stands on the topic but is not folded yet."""
        entry = self._entry_of(event)
        if entry is not None:
            self._noted[entry[0]] = max(self._noted.get(entry[0], 0), entry[1])

    def noted(self) -> dict[bytes, int]:
        """What is remembered ahead of the fold, as of now."""
        return dict(self._noted)

    def reached(self, noted: Mapping[bytes, int]) -> list[bytes]:
        """Those of the notes that the fold has come to. Belongs to the thread that folds."""
        ask = "SELECT 1 FROM email WHERE id = ? AND standing >= ?"
        return [key for key, number in noted.items() if self._db.execute(ask, (key, number)).fetchone()]

    def settle(self, reached: Mapping[bytes, int]) -> None:
        """Forget these notes, but for what has been noted since."""
        for key, number in reached.items():
            if self._noted.get(key) == number:
                del self._noted[key]

    def fold(self, entries: Iterable[Entry | None], next_offset: int) -> None:
        """Take in what events of the topic mean, and where to go on from; both or neither."""
        rows: dict[bytes, int] = {}
        for entry in entries:
            if entry is not None and entry[1] > rows.get(entry[0], -1):
                rows[entry[0]] = entry[1]
        self._db.execute("BEGIN")
        self._db.executemany(UPSERT, sorted(rows.items()))
        self._db.execute(POSITION, (next_offset,))
        self._db.execute("COMMIT")
        self._looked_up = {}

    def doubt(self, key: bytes) -> Entry:
        """The entry by which the attempt that an email is at becomes a doubt; one that ended stays as it is. Belongs to the thread that folds."""
        row = self._db.execute("SELECT standing FROM email WHERE id = ?", (key,)).fetchone()
        return key, standing(EmailState.IN_DOUBT, max(state_of(row[0])[1], 1) if row else 1)

    def close(self) -> None:
        self._reads.close()
        self._db.close()
