"""Failure reports: each request that has finished with mails undelivered, or was rejected whole, is told of once, to its own people.

Spec 4.8; 8, row 14; 9.4, example 84.

Whether a report was queued already is asked of the tables, and its email id is the request's: whatever is killed when, and
however many reporters run, each reader gets one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from projections import queries
from streams import topics
from streams.domain.failure_report import MAX_LINES, UNDELIVERED, Undelivered, failure_report, rejection_report
from streams.domain.states import EmailState
from streams.errors import UserError
from streams.events import EmailQueued, MessageRequest
from streams.publisher import Record

EVERY_S = 5.0
TOLD_WITHIN = timedelta(days=2)  # what finished longer ago is no news; it was before somebody began to report
log = logging.getLogger(__name__)


class Reporter:
    """Looks for requests to report. `head(partition, offset)` reads a request, `publish` blocks until the broker has it all."""

    def __init__(
        self,
        engine: Engine,
        head: Callable[[int, int], MessageRequest],
        publish: Callable[[Sequence[Record]], None],
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._head = head
        self._publish = publish
        self._now = now
        self._told: dict[str, datetime] = {}  # by request id, when it ended or was rejected

    def run_once(self) -> int:
        """Queue what is due; returns how many mails. May be repeated. Raises SQLAlchemyError; one request's trouble is its own."""
        since = self._now() - TOLD_WITHIN
        self._told = {request_id: ended for request_id, ended in self._told.items() if ended >= since}
        return sum(map(self._tell, self._untold(since)))

    def _untold(self, since: datetime) -> list[queries.RequestStatus]:
        found: list[queries.RequestStatus] = []
        with self._engine.connect() as connection:
            for lately in (queries.failed_lately, queries.rejected_lately):
                page = lately(connection, since)
                while page:
                    found += [status for status in page if status.request["request_id"] not in self._told]
                    page = lately(connection, since, after=page[-1])
        return found

    def _tell(self, status: queries.RequestStatus) -> int:
        row = status.request
        try:
            missing = self._missing(status)
            if missing:
                self._publish([Record.of(topics.EMAILS_URGENT, email.email_id, email) for email in missing])
        except UserError as error:
            log.warning("no failure report of %s yet: %s", row["request_id"], error)
            return 0
        self._told[row["request_id"]] = row["rejected_at"] or row["last_ended_at"]
        return len(missing)

    def _missing(self, status: queries.RequestStatus) -> list[EmailQueued]:
        """The request's reports that are not in the tables."""
        row = status.request
        request = self._head(row["head_partition"], row["head_offset"])
        counts = {EmailState(name): number for name, number in status.counts.items()}
        with self._engine.connect() as connection:
            if row["rejected_at"] is not None:
                reports = rejection_report(request, row["problems"] or [row["reason"]], self._now())
            else:
                reports = failure_report(request, _undelivered(connection, row["request_id"]), counts, self._now())
            known = queries.known_emails(connection, [report.email_id for report in reports])
        return [report for report in reports if report.email_id not in known]


@contextlib.contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Let it look every EVERY_S seconds, in a thread of its own, until the `with` ends. What is in its way is tried again."""
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(reporter, stop), name="reporter", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _look(reporter: Reporter, stop: threading.Event) -> None:
    while not stop.wait(EVERY_S):
        try:
            reporter.run_once()
        except SQLAlchemyError as error:
            log.warning("failure reports: %s; trying again", " ".join(str(error).split())[:500])
        except Exception:  # in a thread nobody else would hear of it, and no request would be reported any more
            log.exception("failure reports: a fault of this program; trying again")


def _undelivered(connection: Connection, request_id: str) -> list[Undelivered]:
    """The first MAX_LINES of them."""
    rows: list[queries.Row] = []
    for state in UNDELIVERED:
        rows += queries.emails_of_request(connection, request_id, state, MAX_LINES - len(rows)) if len(rows) < MAX_LINES else []
    return [
        Undelivered(
            email_id=row["email_id"],
            to=row["send_to"] or "",
            subject=row["subject"] or "",
            status=EmailState(row["status"]),
            reason=row["reason"] or "",
            reply=row["last_reply"] or "",
            attempts=row["attempts"],
        )
        for row in rows
    ]
