"""What each event makes of the rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from projections.folds import FOLDS
from projections.rows import Rows
from projections.tables import FOLDED
from streams import events, topics
from streams.domain.states import EmailState
from tests.services import history as made
from tests.services.history import NOW, History, folded

LATER = NOW + timedelta(minutes=5)
# The first repeats what other events say; what the others come to is in Suppression.
SAID_BY_NO_TABLE = {events.RequestControl, events.Resubscribed, events.SoftBounces}


def after(*said: Any) -> Rows:
    """The rows after these events, each on the topic where it belongs."""
    history = History()
    for event in said:
        topic = next(name for name, topic in topics.declared().items() if type(event).__name__ in topic.events)
        history.add(topic, getattr(event, "email_id", None) or getattr(event, "request_id", None) or "k", event)
    return folded(history.in_order())


def request_row(rows: Rows, request_id: str = "r1") -> dict[str, Any]:
    return rows["message_request", (request_id,)] or {}


def email_row(rows: Rows, person: str = "ann", request_id: str | None = "r1") -> dict[str, Any]:
    return rows["text_of_email", (made.email_id(person, request_id),)] or {}


def test_every_event_of_a_projected_topic_has_a_fold() -> None:
    told = {name for topic in topics.declared().values() if "project" in topic.read_by for name in topic.events}
    assert {kind.__name__ for kind in FOLDS} == told - {kind.__name__ for kind in SAID_BY_NO_TABLE}


def test_every_status_has_its_count() -> None:
    assert {state.value for state in EmailState} <= set(FOLDED["message_request"].columns.keys())


# -- one email -------------------------------------------------------------------------------------------------------


def test_a_sent_email() -> None:
    row = email_row(after(made.queued(), made.delivery(events.EmailAttempting), made.delivery(events.EmailSent)))
    assert (row["status"], row["attempts"], row["request_id"], row["user_id"]) == ("sent", 1, "r1", "ann")
    assert (row["send_to"], row["recipient"]) == ('"ann" <ann@x.org>', "ann@x.org")
    assert row["send_from"] == "Yale Splash <info@yale.learningu.org>"
    assert row["last_reply"] == "250 2.0.0 Ok"
    assert row["sent_at"] == row["ended_at"] == NOW + timedelta(seconds=1)


def test_a_deferred_email_says_when_it_is_offered_again() -> None:
    said = made.queued(), made.delivery(events.EmailAttempting), made.delivery(events.EmailDeferred, reason="greylisted", reply="451 later")
    row = email_row(after(*said))
    assert (row["status"], row["reason"], row["last_reply"], row["next_attempt_at"]) == (
        "deferred",
        "greylisted",
        "451 later",
        NOW + timedelta(minutes=1),
    )


def test_a_second_attempt_is_the_same_row_and_its_text_stands_where_it_was_queued_last() -> None:
    deferred = made.delivery(events.EmailAttempting), made.delivery(events.EmailDeferred)
    rows = after(made.queued(), *deferred, made.queued(attempt=2, queued_at=LATER))
    row = email_row(rows)
    assert (row["status"], row["attempts"], row["text_attempt"], row["text_offset"]) == ("queued", 1, 2, 1)
    assert row["queued_at"] == NOW
    assert request_row(rows)["queued"] == 1


def test_an_end_takes_the_next_attempt_away() -> None:
    row = email_row(after(made.queued(), made.delivery(events.EmailDeferred), made.delivery(events.EmailExpired, reason="expired")))
    assert (row["status"], row["next_attempt_at"], row["sent_at"]) == ("expired", None, None)
    told = email_row(after(made.queued(), made.delivery(events.EmailExpired, reply="451 later")))
    assert told["last_reply"] == "451 later"
    assert row["ended_at"] is not None


def test_late_words_of_a_lost_worker_stand_in_the_timeline_only() -> None:
    rows = after(made.queued(), made.delivery(events.EmailSent), made.delivery(events.EmailDeferred, attempt=2, reply="451 later"))
    row = email_row(rows)
    assert (row["status"], row["last_reply"], row["next_attempt_at"]) == ("sent", "250 2.0.0 Ok", None)
    assert [line["event"] for (table, _), line in rows.items() if line and table == "email_event"] == [
        "EmailQueued",
        "EmailSent",
        "EmailDeferred",
    ]


def test_an_email_sent_before_it_is_known_to_be_queued() -> None:
    rows = after(made.delivery(events.EmailSent), made.queued())
    assert (email_row(rows)["status"], email_row(rows)["subject"]) == ("sent", "For ann")
    assert (request_row(rows)["sent"], request_row(rows)["queued"]) == (1, 0)


def test_a_skipped_recipient_has_a_row_with_the_reason() -> None:
    row = email_row(after(made.skipped(reason="inactive", detail="account is inactive")))
    assert (row["status"], row["reason"], row["detail"], row["user_id"]) == ("skipped", "inactive", "account is inactive", "ann")


@pytest.mark.parametrize("skip_first", [True, False])
def test_a_skip_yields_to_the_email_that_exists(skip_first: bool) -> None:
    said = [made.skipped(), made.queued()]
    rows = after(*(said if skip_first else reversed(said)))
    assert (email_row(rows)["status"], email_row(rows)["recipient"]) == ("queued", "ann@x.org")
    assert (request_row(rows)["queued"], request_row(rows)["skipped"]) == (1, 0)


@pytest.mark.parametrize("worst_first", [True, False])
def test_the_worst_feedback_is_shown(worst_first: bool) -> None:
    bounced = events.EmailBounced("f1", NOW, made.email_id("ann"), "hash", "soft", "4.2.2", "full", "dsn")
    complained = events.EmailComplained("f2", LATER, made.email_id("ann"), "hash", "fbl")
    said = [complained, bounced] if worst_first else [bounced, complained]
    row = email_row(after(made.queued(), *said))
    assert (row["feedback"], row["feedback_at"], row["status"]) == ("complaint", LATER, "queued")


# -- one request -----------------------------------------------------------------------------------------------------

TWO_QUEUED = made.request(), made.queued(), made.queued("bob"), made.expanded()
BOTH_SENT = made.delivery(events.EmailSent), made.delivery(events.EmailSent, "bob")
STATES = [
    ("submitted", [made.request()]),
    ("scheduled", [made.request(), events.RequestScheduled("r1", NOW, LATER, "not_before")]),
    ("awaiting_approval", [made.request(), events.RequestScheduled("r1", NOW, None, "approval")]),
    ("submitted", [made.request(), events.RequestScheduled("r1", NOW, None, "approval"), events.MessageRequestApproved("r1", NOW, "ada")]),
    ("expanding", [made.request(chunks=2), made.expanded(chunks=2)]),
    ("sending", [made.request(), made.queued(), made.expanded()]),
    ("sending", [*TWO_QUEUED, BOTH_SENT[0]]),
    ("sending", [*TWO_QUEUED, BOTH_SENT[0], made.delivery(events.EmailInDoubt, "bob")]),
    ("paused", [*TWO_QUEUED, events.MessageRequestPaused("r1", NOW, "ada")]),
    ("sending", [*TWO_QUEUED, events.MessageRequestPaused("r1", NOW, "ada"), events.MessageRequestResumed("r1", NOW, "ada")]),
    ("cancelling", [*TWO_QUEUED, events.MessageRequestCancelled("r1", NOW, "ada", "typo")]),
    ("cancelled", [*TWO_QUEUED, events.RequestCancelled("r1", NOW, "ada", "typo")]),
    ("finished", [*TWO_QUEUED, *BOTH_SENT]),
    ("finished", [*TWO_QUEUED, *BOTH_SENT, events.RequestCancelled("r1", NOW, "ada", "too late")]),
    ("no_recipients", [made.request(people=0), made.expanded(queued=0)]),
    ("rejected", [made.request(), events.RequestRejected("r1", NOW, "c1", "template", ["line 1: unknown tag"])]),
    ("submitted", [made.request(), events.RequestConflicted("r1", NOW, "c2", "c1")]),
    ("unknown", [made.queued()]),
]


@pytest.mark.parametrize(("state", "said"), STATES, ids=[f"{number}-{state}" for number, (state, _) in enumerate(STATES)])
def test_the_state_of_a_request(state: str, said: list[Any]) -> None:
    assert request_row(after(*said))["state"] == state


def test_a_rejected_request_says_everything_that_is_wrong_with_it() -> None:
    row = request_row(after(made.request(), events.RequestRejected("r1", NOW, "c1", "invalid", ["no subject", "no body"])))
    assert (row["reason"], row["problems"]) == ("invalid", ["no subject", "no body"])


def test_a_chunk_expanded_twice_counts_once() -> None:
    row = request_row(after(made.request(), made.expanded(skipped=1, warnings=["w"]), made.expanded(skipped=1, warnings=["w"])))
    assert (row["people"], row["expanded"], row["chunks_expanded"], row["warnings"]) == (3, 3, 1, ["w"])


def test_a_second_request_under_the_same_id_changes_nothing() -> None:
    rows = after(made.request(), made.request(subject="Other", content_hash="c2"))
    assert (request_row(rows)["subject"], request_row(rows)["content_hash"]) == ("For {{ user.name }}", "c1")


# -- inbound mail, dead letters --------------------------------------------------------------------------------------


def inbound_row(*said: Any) -> dict[str, Any]:
    history = History()
    for topic, event in said:
        history.add(topic, "i1", event)
    return folded(history.in_order())["inbound_mail", ("i1",)] or {}


def test_a_routed_mail() -> None:
    row = inbound_row((topics.INBOUND_MAIL, made.mail()), (topics.ROUTINGS, made.routed()))
    assert (row["rcpt_to"], row["decision"], row["seq"], row["handler"]) == ("m123-class@yale.learningu.org", "deliver", 20, "ClassList")
    assert (row["emails"], row["skipped"]) == (2, [["hash", "suppressed"]])


def test_a_held_mail_is_approved_once() -> None:
    held = topics.ROUTINGS, events.InboundHeld("i1", NOW, "admin_hold", 20, "ClassList", "h")
    approved = topics.MODERATION, events.InboundApproved("i1", LATER, "ada", "fine")
    refused = topics.MODERATION, events.InboundRejected("i1", LATER, "bo", "no")
    row = inbound_row((topics.INBOUND_MAIL, made.mail()), held, approved, refused)
    assert (row["decision"], row["moderation"], row["moderated_by"]) == ("hold", "approved", "ada")


def test_who_vouched_for_a_mail_stays_when_a_moderator_has_spoken() -> None:
    judged = events.Judgement("mx.x.org", own=False, results=[events.MethodResult("dmarc", "fail", "x.org")])
    held = events.InboundHeld("i1", NOW, "sender_not_authenticated", 20, "ClassList", "h", judged)
    row = inbound_row(
        (topics.ROUTINGS, held), (topics.ROUTINGS, events.InboundDropped("i1", LATER, "rejected_by_moderator", None, None, "h"))
    )
    assert row["judged"] == {"by": "mx.x.org", "own": False, "results": [{"method": "dmarc", "result": "fail", "domain": "x.org"}]}


def test_the_last_decision_stands_alone() -> None:
    row = inbound_row((topics.ROUTINGS, made.routed()), (topics.ROUTINGS, events.InboundDropped("i1", LATER, "loop", None, None, "h2")))
    assert (row["decision"], row["reason"], row["emails"], row["skipped"], row["handler"]) == ("drop", "loop", 0, [], None)


def test_a_record_that_is_no_event_is_a_dead_letter() -> None:
    history = History()
    history.add_bytes(topics.DELIVERIES, "k", b"junk")
    history.add_bytes(topics.DELIVERIES, "k", None)
    rows = folded(history.in_order())
    assert [(row["topic"], row["offset"], row["agent"], row["reason"], row["size"]) for row in rows.values() if row] == [
        (topics.DELIVERIES, 0, "project", "undecodable", 4),
        (topics.DELIVERIES, 1, "project", "undecodable", 0),
    ]
