"""G6: what was folded live equals what is folded anew, and may be replaced by it at any time."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine, text

from projections.offsets import TopicRemade
from projections.rebuild import rebuild, verify
from streams import admin, events, topics
from streams.settings import Settings
from tests.services import history as made
from tests.services.history import History
from tests.services.projecting import catch_up, differences, everything, feed, mails, projector, send, sent
from tests.services.until import until

pytestmark = pytest.mark.broker


def test_a_tampered_table_is_found_and_mended(engine: Engine, settings: Settings) -> None:
    send(settings, mails(0, 20))
    catch_up(engine, settings)
    before = everything(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE text_of_email SET status = 'failed' WHERE user_id = 'p7'"))
        connection.execute(text("DELETE FROM email_event WHERE event = 'EmailAttempting'"))
        connection.execute(text("INSERT INTO suppression (address_hash, purpose) VALUES ('nobody', '*')"))
    found = differences(engine, settings)
    assert {(difference.table, tuple(difference.columns())) for difference in found if difference.table != "email_event"} == {
        ("text_of_email", ("status",)),
        ("suppression", ()),
    }
    assert len([difference for difference in found if difference.table == "email_event"]) == 20
    with feed(settings) as opened:
        assert rebuild(engine, opened).changed == 22
    assert everything(engine) == before
    assert catch_up(engine, settings) == 0


def test_a_rebuild_under_live_traffic_never_takes_anything_back(engine: Engine, settings: Settings) -> None:
    history = mails(0, 400)
    send(settings, history)
    seen: list[int] = []
    stop = threading.Event()
    with projector(engine, settings) as running:

        def fold() -> None:
            while not stop.is_set():
                running.run_once()
                seen.append(sent(engine))

        thread = threading.Thread(target=fold)
        thread.start()
        try:
            for round_ in range(1, 4):
                send(settings, rest(mails(0, 400 + 100 * round_), history))
                with feed(settings) as opened:
                    rebuild(engine, opened)
                assert differences(engine, settings) == []  # while the projector writes on
                history = mails(0, 400 + 100 * round_)
            until(lambda: sent(engine) == 700, "all of them are sent")
        finally:
            stop.set()
            thread.join()
    assert seen == sorted(seen)
    assert differences(engine, settings) == []


def rest(whole: History, known: History) -> History:
    """What stands behind `known` in `whole`, with its offsets."""
    remaining = History()
    for at, records in whole.partitions.items():
        remaining.partitions[at] = records[len(known.partitions[at]) :]
    return remaining


def test_records_that_aged_out_of_their_topics_are_remembered(engine: Engine, settings: Settings) -> None:
    history = mails(0, 20)
    history.add(topics.MESSAGE_REQUESTS, "r1", made.request(people=20))
    history.add(topics.INBOUND_MAIL, "i1", made.mail())
    history.add(topics.ROUTINGS, "i1", made.routed())
    history.add(topics.EMAILS_BULK, "p1", made.queued("p1", attempt=2))
    history.add_bytes(topics.EMAILS_BULK, "p1", b"junk")
    letter = events.DeadLettered(made.NOW, topics.EMAILS_BULK, 2, 7, b"k", b"junk", [], "send", "undecodable", "why")
    history.add(topics.DEAD_LETTERS, "k", letter)
    history.add(topics.DEAD_LETTERS, "k", events.DeadLetterReplayed(made.NOW, 0, "ada"))
    send(settings, history)
    catch_up(engine, settings)
    before = everything(engine)
    age(settings, topics.EMAILS_BULK, topics.INBOUND_MAIL, topics.DEAD_LETTERS)
    assert differences(engine, settings) == []
    with feed(settings) as opened:
        assert rebuild(engine, opened).changed == 0
    assert everything(engine) == before


def age(settings: Settings, *names: str) -> None:
    """Let the broker delete every record of these topics, as their retention would."""
    with feed(settings) as opened:
        highs = {partition: extent.high for partition, extent in opened.extents().items() if partition[0] in names}
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    for future in client.delete_records([TopicPartition(topic, number, high) for (topic, number), high in highs.items()]).values():
        future.result()


def test_topics_made_anew_are_refused_until_a_rebuild(engine: Engine, settings: Settings) -> None:
    send(settings, mails(0, 20))
    catch_up(engine, settings)
    admin.delete(settings)
    admin.apply(settings)
    send(settings, mails(0, 30))
    with pytest.raises(TopicRemade, match="espmail projections rebuild"):
        catch_up(engine, settings)
    with pytest.raises(TopicRemade), feed(settings) as opened:
        verify(engine, opened)
    with feed(settings) as opened:
        rebuild(engine, opened)
    assert sent(engine) == 30
    assert catch_up(engine, settings) == 0
