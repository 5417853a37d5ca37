"""The ledger is the fold of domain/states.py, whatever order its events come in; and a skimmed event means what the whole one does."""

from __future__ import annotations

import tempfile
import uuid
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec
from streams.domain.states import TRANSITIONS, fold
from streams.events import (
    EmailAttempting,
    EmailCancelled,
    EmailDeferred,
    EmailExpired,
    EmailFailed,
    EmailInDoubt,
    EmailRequeued,
    EmailSent,
    EmailSuppressed,
)
from streams.state import skim
from streams.state.ledger import Ledger, email_entry

DELIVERED = (
    EmailAttempting,
    EmailCancelled,
    EmailDeferred,
    EmailExpired,
    EmailFailed,
    EmailInDoubt,
    EmailRequeued,
    EmailSent,
    EmailSuppressed,
)
IDS = [str(uuid.UUID(int=number, version=5)) for number in range(3)]
OURS = st.sampled_from(IDS)
INSTANTS = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@st.composite
def deliveries(draw: st.DrawFn, ids: st.SearchStrategy[str] = OURS) -> Any:
    kind = draw(st.sampled_from(DELIVERED))
    given = {"email_id": draw(ids), "request_id": draw(st.none() | st.text(max_size=200)), "attempt": draw(st.integers(0, 300))}
    values = {"datetime": INSTANTS, "str": st.text(max_size=20), "int": st.integers(0, 2**40)}
    others = {name: draw(values[str(hint)]) for name, hint in kind.__annotations__.items() if name not in given}
    return kind(**given, **others)


@given(st.lists(deliveries(), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_the_ledger_is_the_fold(said: list[Any], cuts: list[int]) -> None:
    """X-10's ground: any batches, any repeats, noted ahead or not."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "0.sqlite")
        bounds = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
        for begin, end in pairwise(bounds):
            ledger.fold([email_entry(event) for event in said[begin:end]], end)
            for event in said[: end // 2]:
                ledger.note(event)
        found = {email_id: ledger.state(email_id) for email_id in IDS}
        assert found == {email_id: fold(event for event in said if event.email_id == email_id) for email_id in IDS}
        assert ledger.next_offset == len(said)
        ledger.settle({key: number for key, number in ledger.noted().items() if key in ledger.reached(ledger.noted())})
        assert ledger.noted() == {}
        assert {email_id: ledger.state(email_id) for email_id in IDS} == found
        ledger.close()


@given(deliveries(st.sampled_from(IDS) | st.text(max_size=60)))
def test_skimming_is_decoding(event: Any) -> None:
    value = codec.encode(event)
    assert skim.entry(value) == email_entry(codec.decode(value))


@given(deliveries(), st.integers(0, 60))
def test_what_is_cut_off_before_its_attempt_is_never_an_entry(event: Any, length: int) -> None:
    whole = codec.encode(event)
    prefix = whole[: min(length, codec.HEAD_LENGTH + 40)]
    with pytest.raises(codec.Undecodable):
        skim.entry(prefix)


def test_every_event_of_deliveries_is_skimmed() -> None:
    """A schema that began otherwise would still be right, and slow."""
    assert {kind for kind in skim._kinds().values() if kind in DELIVERED} == set(DELIVERED)
    assert set(DELIVERED) < set(TRANSITIONS)
