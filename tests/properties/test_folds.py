"""The tables are determined by what stands on the topics, not by the order in which it is read (G6, S-02)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.rows import Rows
from streams import events, topics
from streams.domain.states import EmailState
from tests.services import history as made
from tests.services.history import NOW, History, folded

REQUESTS = ("r1", "r2")
PEOPLE = ("ann", "bob")
OUTCOMES = (
    events.EmailAttempting,
    events.EmailSent,
    events.EmailDeferred,
    events.EmailFailed,
    events.EmailExpired,
    events.EmailSuppressed,
    events.EmailCancelled,
    events.EmailInDoubt,
    events.EmailRequeued,
)

request_ids = st.sampled_from(REQUESTS)
people = st.sampled_from(PEOPLE)
attempts = st.integers(1, 2)
instants = st.integers(0, 20).map(lambda seconds: NOW + timedelta(seconds=seconds))
words = st.sampled_from(["", "a", "b"])

Said = tuple[str, str, Any]  # topic, key, event


def on(topic: str, key: str) -> Any:
    return lambda event: (topic, getattr(event, key), event)


said_of_requests: st.SearchStrategy[Said] = st.one_of(
    st.builds(made.request, request_ids, content_hash=words, submitted_at=instants, chunks=st.just(2)).map(
        on(topics.MESSAGE_REQUESTS, "request_id")
    ),
    st.builds(events.MessageRequestCancelled, request_ids, instants, words, words).map(on(topics.MESSAGE_REQUESTS, "request_id")),
    st.builds(events.MessageRequestApproved, request_ids, instants, words).map(on(topics.MESSAGE_REQUESTS, "request_id")),
    st.builds(events.MessageRequestPaused, request_ids, instants, words).map(on(topics.MESSAGE_REQUESTS, "request_id")),
    st.builds(events.MessageRequestResumed, request_ids, instants, words).map(on(topics.MESSAGE_REQUESTS, "request_id")),
    st.builds(
        made.expanded,
        request_ids,
        st.integers(0, 2),
        st.integers(0, 1),
        chunk=st.integers(0, 1),
        chunks=st.just(2),
        warnings=st.lists(words),
        at=instants,
    ).map(on(topics.EXPANSIONS, "request_id")),
    st.builds(events.RequestScheduled, request_ids, instants, st.none() | instants, words).map(on(topics.EXPANSIONS, "request_id")),
    st.builds(events.RequestRejected, request_ids, instants, words, words, st.lists(words)).map(on(topics.EXPANSIONS, "request_id")),
    st.builds(events.RequestConflicted, request_ids, instants, words, words).map(on(topics.EXPANSIONS, "request_id")),
    st.builds(events.RequestCancelled, request_ids, instants, words, words).map(on(topics.EXPANSIONS, "request_id")),
)
said_of_emails: st.SearchStrategy[Said] = st.one_of(
    st.builds(made.skipped, people, request_ids, words, at=instants).map(on(topics.EXPANSIONS, "request_id")),
    st.builds(made.queued, people, request_ids, attempts, queued_at=instants).map(on(topics.EMAILS_BULK, "email_id")),
    st.builds(made.delivery, st.sampled_from(OUTCOMES), people, request_ids, attempts, at=instants, reason=words).map(
        on(topics.DELIVERIES, "email_id")
    ),
    st.builds(
        events.EmailBounced,
        words,
        instants,
        st.builds(made.email_id, people, request_ids),
        words,
        st.sampled_from(["hard", "soft"]),
        words,
        words,
        words,
    ).map(on(topics.FEEDBACK, "feedback_id")),
    st.builds(events.EmailComplained, words, instants, st.builds(made.email_id, people, request_ids), words, words).map(
        on(topics.FEEDBACK, "feedback_id")
    ),
)


def said_of_ann(kinds: list[type]) -> st.SearchStrategy[Said]:
    """Few kinds at a time: with all of them, some end would nearly always outrank the rest."""
    told = [st.builds(made.delivery, st.just(kind), attempt=attempts, at=instants, reason=words) for kind in kinds]
    return st.one_of(
        st.builds(made.skipped, at=instants, reason=words).map(on(topics.EXPANSIONS, "request_id")),
        st.builds(made.queued, attempt=attempts, queued_at=instants).map(on(topics.EMAILS_BULK, "email_id")),
        *(event.map(on(topics.DELIVERIES, "email_id")) for event in told),
    )


said_of_mails: st.SearchStrategy[Said] = st.one_of(
    st.builds(made.mail, received_at=instants).map(on(topics.INBOUND_MAIL, "inbound_id")),
    st.builds(made.routed, at=instants, reason=words).map(on(topics.ROUTINGS, "inbound_id")),
    st.builds(events.InboundHeld, st.just("i1"), instants, words, st.none(), st.none(), words).map(on(topics.ROUTINGS, "inbound_id")),
    st.builds(events.InboundNoticed, st.just("i1"), instants, words, words, words).map(on(topics.ROUTINGS, "inbound_id")),
    st.builds(events.InboundApproved, st.just("i1"), instants, words, words).map(on(topics.MODERATION, "inbound_id")),
    st.builds(events.InboundRerouted, st.just("i1"), instants, words, st.just(0), st.just(0)).map(on(topics.MODERATION, "inbound_id")),
    st.builds(events.InboundRejected, st.just("i1"), instants, words, words).map(on(topics.MODERATION, "inbound_id")),
    st.builds(events.Suppression, words, words, st.booleans(), words, instants, words).map(on(topics.SUPPRESSIONS, "address_hash")),
)


def history_of(said: list[Said]) -> History:
    history = History()
    for topic, key, event in said:
        history.add(topic, key, event)
    return history


# Of everything at once, and of so few things that their events meet.
histories = st.one_of(
    st.lists(st.one_of(said_of_requests, said_of_emails, said_of_mails), max_size=25).map(history_of),
    st.lists(said_of_requests.filter(lambda said: said[1] == "r1"), max_size=12).map(history_of),
    st.sets(st.sampled_from(OUTCOMES), max_size=3)
    .flatmap(lambda kinds: st.lists(said_of_ann(sorted(kinds, key=str)), max_size=8))
    .map(history_of),
)


seeds = st.integers(0, 2**32)


@settings(max_examples=400)
@given(histories, seeds)
def test_topics_may_be_read_in_any_order(history: History, seed: int) -> None:
    rows = folded(history.in_order())
    assert rows == folded(history.in_order(last_first=True))
    assert rows == folded(history.interleaved(Random(seed)))


@given(st.lists(said_of_emails, max_size=20), seeds)
def test_late_repeats_change_no_status_and_no_count(said: list[Said], seed: int) -> None:
    once, twice = history_of(said), history_of(said * 2)
    assert standing(folded(once.in_order())) == standing(folded(twice.interleaved(Random(seed))))


@given(histories, seeds)
def test_counts_are_exact(history: History, seed: int) -> None:
    rows = folded(history.interleaved(Random(seed)))
    counted = Counter((row["request_id"], row["status"]) for row in of(rows, "text_of_email") if row["status"] is not None)
    kept = {
        (row["request_id"], state.value): row[state.value]
        for row in of(rows, "message_request")
        for state in EmailState
        if row[state.value]
    }
    assert kept == counted


def of(rows: Rows, table: str) -> list[dict[str, Any]]:
    return [row for (name, _), row in rows.items() if name == table and row is not None]


def standing(rows: Rows) -> dict[str, Any]:
    emails = {row["email_id"]: (row["status"], row["attempts"], row["reason"], row["text_attempt"]) for row in of(rows, "text_of_email")}
    counts = {row["request_id"]: [row[state.value] for state in EmailState] for row in of(rows, "message_request")}
    return emails | counts
