"""What the live tables remember of records that their topics no longer keep (schemas/topics.yaml, `kept`).

A rebuild after 30 days finds an email's deliveries, kept for ever, but no longer its text. So before it folds what is
there it takes over the facts that only aged-out records said. All else is folded anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping, and_, insert, literal, or_, select

from projections import fold_emails, fold_inbound, folds, store
from projections.batch import AGENT
from projections.feed import Partition
from projections.rows import Rows, Where
from projections.tables import dead_letter, dead_letter_replay, email_event, inbound_mail, text_of_email
from streams import events, topics

BY_CHUNK = {"yield_per": 2000}  # however many aged out, few are in memory


def remember(connection: Connection, tables: store.Tables, lows: Mapping[Partition, int]) -> None:
    """Put into the empty `tables` what the live ones know of the records before `lows`."""
    for partition, low in lows.items():
        if low > 0:
            _copy_timeline(connection, tables, partition, low)
            _copy_dead_letters(connection, tables, partition, low)
            _copy_replays(connection, tables, partition, low)
            _fold_texts(connection, tables, partition, low)
            _fold_mails(connection, tables, partition, low)


def _copy_timeline(connection: Connection, tables: store.Tables, partition: Partition, low: int) -> None:
    live = email_event.c
    aged = select(email_event).where(live.topic == partition[0], live.partition == partition[1], live.offset < low)
    connection.execute(insert(tables["email_event"]).from_select(email_event.columns.keys(), aged))


def _copy_dead_letters(connection: Connection, tables: store.Tables, partition: Partition, low: int) -> None:
    live = dead_letter.c
    met = and_(live.topic == partition[0], live.partition == partition[1], live.offset < low, live.agent == AGENT)
    told = and_(live.letter_offset < low, literal(partition[0] == topics.DEAD_LETTERS))
    rows: Rows = {}
    for row in connection.execute(select(dead_letter).where(or_(met, told))).mappings():
        rows["dead_letter", (row["topic"], row["partition"], row["offset"], row["agent"])] = dict(row)
    store.save(connection, rows, tables)


def _copy_replays(connection: Connection, tables: store.Tables, partition: Partition, low: int) -> None:
    """A replay is told behind its letter: without the letter on its topic, it may be gone as well."""
    if partition[0] == topics.DEAD_LETTERS:
        aged = select(dead_letter_replay).where(dead_letter_replay.c.letter_offset < low)
        connection.execute(insert(tables["dead_letter_replay"]).from_select(dead_letter_replay.columns.keys(), aged))


def _fold_texts(connection: Connection, tables: store.Tables, partition: Partition, low: int) -> None:
    live = text_of_email.c
    chosen = select(text_of_email).where(live.text_topic == partition[0], live.text_partition == partition[1], live.text_offset < low)
    for part in connection.execute(chosen, execution_options=BY_CHUNK).mappings().partitions():
        queued = [(_queued(row), Where(*partition, row["text_offset"])) for row in part]
        rows = store.load(connection, (key for event, _ in queued for key in fold_emails.keys(event)), tables)
        for event, where in queued:
            fold_emails.queued(rows, event, where)
            del rows["email_event", where]  # the timeline was copied
        folds.settle(rows)
        store.save(connection, rows, tables)


def _fold_mails(connection: Connection, tables: store.Tables, partition: Partition, low: int) -> None:
    if partition[0] != topics.INBOUND_MAIL:
        return
    live = inbound_mail.c
    chosen = select(inbound_mail).where(live.mail_partition == partition[1], live.mail_offset < low)
    for part in connection.execute(chosen, execution_options=BY_CHUNK).mappings().partitions():
        rows: Rows = {}
        for row in part:
            fold_inbound.remembered(rows, row)
        store.save(connection, rows, tables)


def _queued(row: RowMapping) -> events.EmailQueued:
    """The event as far as its row knows it, which is all that a fold of it looks at."""
    sender = [events.Header("From", row["send_from"])] if row["send_from"] is not None else []
    return events.EmailQueued(
        email_id=row["email_id"],
        request_id=row["request_id"],
        inbound_id=row["inbound_id"],
        user_id=row["user_id"],
        purpose=row["purpose"],
        recipient=row["recipient"],
        to=row["send_to"],
        envelope_from="",
        subject=row["subject"],
        message_id=row["message_id"],
        queued_at=row["queued_at"],
        expires_at=row["expires_at"],
        attempt=row["text_attempt"],
        max_attempts=row["max_attempts"],
        on_doubt="",
        content=events.Composed(headers=sender, text="", html=None, attachments=[]),
    )
