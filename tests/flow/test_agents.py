"""The shell that every agent runs in, as real processes on the real broker: rows F of the fault table."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams import codec
from streams.events import InboundApproved
from streams.settings import Settings
from tests.services.agents import Agent
from tests.services.mails import dead_letters
from tests.services.odd import NAME, NOW, Odd, odd_on
from tests.services.until import until

pytestmark = pytest.mark.broker
RAISED = (
    "ValueError",
    "CancelledError",
    "TimeoutError",
    "KeyboardInterrupt",
    "SystemExit",
    "RecursionError",
    "MemoryError",
    "GeneratorExit",
)


@pytest.fixture
def odd(kafka: Settings, tmp_path: Path) -> Iterator[Odd]:
    yield from odd_on(kafka, tmp_path)


@pytest.fixture(scope="module")
def steady(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Odd, Agent]]:
    """An agent that several tests share, for nothing that they do may end it."""
    for odd in odd_on(kafka, tmp_path_factory.mktemp("steady")):
        with odd.running() as agent:
            yield odd, agent
            assert agent.stop()[0] == 0


def test_whatever_a_handler_raises_parks_its_record_and_nothing_else(steady: tuple[Odd, Agent]) -> None:
    """F-01, F-02: one agent meets every kind of exception; the good records among them flow, and nothing is restarted."""
    odd, agent = steady
    base = odd.committed
    put = odd.put("first", *(note for kind in RAISED for note in (kind, f"after {kind}")))
    until(lambda: odd.committed == base + len(put), "all is acknowledged")
    assert {event.inbound_id for event in odd.echoed} >= set(put[::2])
    assert {event.rules_hash for event in odd.echoed} == {str(agent.pid)}
    parked = {event.offset - base: event.reason for event in dead_letters(odd.settings, odd.topic) if event.offset >= base}
    # The shell takes a TimeoutError for its own deadline: the word differs, the record is parked all the same.
    assert parked == {2 * number + 1: "deadline" if kind == "TimeoutError" else "unexpected" for number, kind in enumerate(RAISED)}


def test_what_is_no_event_is_parked_with_its_bytes(steady: tuple[Odd, Agent]) -> None:
    """F-03, F-17: the dead letter has the record's origin, bytes, key and headers; headers command nothing."""
    odd, _ = steady
    base = odd.committed
    good = codec.encode(InboundApproved(uuid.uuid4().hex, NOW, "test", "good"))
    bad = {
        "not an event": b"hello",
        "empty": b"",
        "wrong fingerprint": b"\xc3\x01" + bytes(8) + good[10:],
        "truncated": good[:-3],
        "trailing junk": good + b"junk",
        "null": None,
    }
    headers = {"Faust-Ag-ReplyTo": b"evil-topic", "Faust-Ag-CorrelationId": b"1"}
    odd.put_bytes(*bad.values(), good, headers=headers)
    until(lambda: odd.committed == base + len(bad) + 1, "all is acknowledged")
    parked = [event for event in dead_letters(odd.settings, odd.topic) if event.offset >= base]
    assert [(event.value, event.partition, event.offset - base, event.key, event.reason, event.agent) for event in parked] == [
        (value, 0, offset, b"key", "undecodable", NAME) for offset, value in enumerate(bad.values())
    ]
    assert {(header.name, header.value) for event in parked for header in event.headers} == {
        (name, value.decode()) for name, value in headers.items()
    }
    assert "evil-topic" not in AdminClient({"bootstrap.servers": odd.settings.bootstrap}).list_topics().topics


def test_a_thousand_bad_records_flow_by(steady: tuple[Odd, Agent]) -> None:
    """F-06: at full speed, with no restart; the alarm is the number of dead letters."""
    odd, agent = steady
    base, began = odd.committed, time.monotonic()
    odd.put_bytes(*(b"poison %d" % number for number in range(1000)))
    (last,) = odd.put("alive")
    until(lambda: odd.committed == base + 1001, "all is acknowledged")
    assert time.monotonic() - began < 10  # 100 a second; Faust's own way takes 5 s for each
    assert {event.inbound_id: event.rules_hash for event in odd.echoed}[last] == str(agent.pid)
    assert sum(event.offset >= base for event in dead_letters(odd.settings, odd.topic)) == 1000


def test_an_output_that_no_topic_takes_parks_its_record(steady: tuple[Odd, Agent]) -> None:
    """F-07: trying again could not help."""
    odd, _ = steady
    base = odd.committed
    _, good = odd.put("large", "good")
    until(lambda: odd.committed == base + 2, "both are acknowledged")
    assert [(event.offset - base, event.reason) for event in dead_letters(odd.settings, odd.topic) if event.offset >= base] == [
        (0, "too_large")
    ]
    assert good in {event.inbound_id for event in odd.echoed}


def test_a_record_in_work_is_delivered_again_after_kill_9(odd: Odd) -> None:
    """F-04, F-05: later records are done, and one of them cannot even be decoded; no offset passes the first, which is not."""
    slow, *rest = odd.put("wait:gate", "one", "two")
    odd.put_bytes(b"undecodable")
    rest += odd.put("three")
    with odd.running() as agent:
        odd.wait_for(slow)
        until(lambda: len(odd.echoed) == 3 and odd.parked, "the others are done")
        assert agent.ended is None
        agent.kill()
    assert odd.committed == 0
    with odd.running():
        odd.wait_for(slow)
        odd.release("gate")
        until(lambda: odd.committed == 5, "all is acknowledged")
    assert {event.inbound_id for event in odd.echoed} == {slow, *rest}


def test_an_output_that_is_not_acknowledged_stops_the_world(odd: Odd) -> None:
    """F-07: exit 70, and the record is not acknowledged."""
    odd.put("good", "nowhere", "good")
    with odd.running() as agent:
        assert agent.end() == 70
    assert odd.committed <= 1
    assert not odd.parked


def test_a_bug_that_breaks_every_record_stops_the_world(odd: Odd) -> None:
    """A bug must not empty a topic into dead-letters: the trip limit ends the process, to be started again with a longer pause."""
    odd.put(*["ValueError"] * 80)
    with odd.running() as agent:
        assert agent.end() == 70
    assert len(odd.parked) < 80
    assert odd.committed < 80


def test_told_to_stop_it_finishes_what_is_in_work(odd: Odd) -> None:
    """F-09: the record in work ends, is acknowledged and committed, and the exit code is 0."""
    (slow,) = odd.put("wait:gate")
    with odd.running() as agent:
        odd.wait_for(slow)
        agent.signal(signal.SIGTERM)
        odd.release("gate")
        assert agent.end() == 0
    assert odd.committed == 1
    assert [event.inbound_id for event in odd.echoed] == [slow]


@pytest.mark.parametrize("storm", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_again_and_again_it_stops_once(odd: Odd, storm: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    """F-11: the record in work still ends and is committed, or comes again; no traceback, and the process is gone."""
    (slow,) = odd.put("wait:gate")
    with odd.running() as agent:
        odd.wait_for(slow)
        for _ in range(10):
            agent.signal(storm)
        odd.release("gate")
        code = agent.end()
    assert code in {0, 70, 128 + storm, -storm}
    assert "Traceback" not in capfd.readouterr().err
    assert code != 0 or odd.committed == 1
    with odd.running():
        until(lambda: odd.committed == 1, "it is acknowledged, now or before")
    assert {event.inbound_id for event in odd.echoed} == {slow}
