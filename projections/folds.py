"""Events into rows, purely. Every table is determined by the set of records folded, whatever the order of topics.

    rows = {key: row or none for every key in keys_of(event)}   of one event, or of many
    fold(rows, event, where)                                    each, in order
    settle(rows)                                                once, at the end

Records of one partition are folded in their order; partitions may interleave anyhow, and a repeated event changes
nothing. So a rebuilt table equals the live one (G6), though the broker hands both out in different orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from projections import fold_emails, fold_inbound, fold_requests
from projections.rows import Key, Rows, Where
from streams import events


class Fold(NamedTuple):
    """`keys`: the rows that `into` may read. Both are pure; `into` changes only `rows`."""

    keys: Callable[[Any], Iterable[Key]]
    into: Callable[[Rows, Any, Where], None]


_REQUEST = fold_requests.keys
_EMAIL = fold_emails.keys
_MAIL = fold_inbound.mail_keys

FOLDS: dict[type, Fold] = {
    # message-requests
    events.MessageRequest: Fold(_REQUEST, fold_requests.submitted),
    events.MessageRequestCancelled: Fold(_REQUEST, fold_requests.cancel_asked),
    events.MessageRequestApproved: Fold(_REQUEST, fold_requests.approved),
    events.MessageRequestPaused: Fold(_REQUEST, fold_requests.paused),
    events.MessageRequestResumed: Fold(_REQUEST, fold_requests.resumed),
    # expansions
    events.RequestExpanded: Fold(fold_requests.chunk_keys, fold_requests.expanded),
    events.RequestScheduled: Fold(_REQUEST, fold_requests.scheduled),
    events.RequestRejected: Fold(_REQUEST, fold_requests.rejected),
    events.RequestConflicted: Fold(_REQUEST, fold_requests.conflicted),
    events.RequestCancelled: Fold(_REQUEST, fold_requests.cancelled),
    events.RecipientSkipped: Fold(_EMAIL, fold_emails.skipped),
    # emails.*
    events.EmailQueued: Fold(_EMAIL, fold_emails.queued),
    # deliveries
    events.EmailAttempting: Fold(_EMAIL, fold_emails.attempting),
    events.EmailSent: Fold(_EMAIL, fold_emails.sent),
    events.EmailDeferred: Fold(_EMAIL, fold_emails.deferred),
    events.EmailFailed: Fold(_EMAIL, fold_emails.failed),
    events.EmailExpired: Fold(_EMAIL, fold_emails.expired),
    events.EmailSuppressed: Fold(_EMAIL, fold_emails.delivery),
    events.EmailCancelled: Fold(_EMAIL, fold_emails.delivery),
    events.EmailInDoubt: Fold(_EMAIL, fold_emails.delivery),
    events.EmailRequeued: Fold(_EMAIL, fold_emails.delivery),
    # feedback
    events.EmailBounced: Fold(fold_emails.feedback_keys, fold_emails.bounced),
    events.EmailComplained: Fold(fold_emails.feedback_keys, fold_emails.complained),
    events.Unsubscribed: Fold(fold_emails.feedback_keys, fold_emails.unsubscribed),
    # inbound-mail, routings, moderation
    events.InboundMailReceived: Fold(_MAIL, fold_inbound.received),
    events.InboundRouted: Fold(_MAIL, fold_inbound.routed),
    events.InboundHeld: Fold(_MAIL, fold_inbound.held),
    events.InboundDropped: Fold(_MAIL, fold_inbound.dropped),
    events.InboundNoticed: Fold(_MAIL, fold_inbound.noticed),
    events.InboundApproved: Fold(_MAIL, fold_inbound.approved),
    events.InboundRejected: Fold(_MAIL, fold_inbound.rejected),
    events.InboundRerouted: Fold(_MAIL, fold_inbound.rerouted),
    # suppressions, dead-letters
    events.Suppression: Fold(fold_inbound.suppression_keys, fold_inbound.suppression),
    events.DeadLettered: Fold(fold_inbound.dead_letter_keys, fold_inbound.dead_letter),
    events.DeadLetterReplayed: Fold(fold_inbound.replay_keys, fold_inbound.replayed),
}


def keys_of(event: Any) -> Iterable[Key]:
    """The rows to load before `fold`; none for an event that no table speaks of."""
    wanted = FOLDS.get(type(event))
    return wanted.keys(event) if wanted else ()


def fold(rows: Rows, event: Any, where: Where) -> None:
    """Fold one event into `rows`; an event that no table speaks of changes nothing."""
    wanted = FOLDS.get(type(event))
    if wanted:
        wanted.into(rows, event, where)


def settle(rows: Rows) -> None:
    """Set what follows from the other columns: the state of each request in `rows`."""
    for (table, _), row in rows.items():
        if table == "message_request" and row is not None:
            row["state"] = fold_requests.state(row)
