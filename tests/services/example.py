"""One ordinary mail of a request, of which tests change what they are about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streams.events import Composed, EmailQueued, Header

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
HEAD = [Header("From", "Yale Splash <info@yale.learningu.org>"), Header("Date", "Fri, 20 Nov 2026 10:00:00 +0000")]
MAIL = EmailQueued(
    email_id="e1",
    request_id="r1",
    inbound_id=None,
    user_id="1",
    purpose="announcements",
    recipient="ann@x.org",
    to='"Ann Lee" <ann@x.org>',
    envelope_from="bounces@learningu.org",
    subject="Hi",
    message_id="<e1@yale.learningu.org>",
    queued_at=NOW,
    expires_at=NOW + timedelta(days=7),
    attempt=1,
    max_attempts=3,
    on_doubt="hold",
    content=Composed(HEAD, "Hi", None, []),
)
