"""The failure report: who did not get a request's mail, and why, told once to those who answer for it (spec 4.8; 8, rows 14, 60).

    failure_report(request, undelivered, counts, now) -> list[EmailQueued]
    rejection_report(request, problems, now) -> list[EmailQueued]

It is mail like any other: queued, retried, recorded, never fatal. Plain text, nothing escaped, each line with the server's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime

from streams.domain.addresses import AddressError, ascii_domain, normalise, parse_mailbox
from streams.domain.ids import message_id, report_email_id
from streams.domain.outgoing.from_rule import default_sender, read_sender
from streams.domain.states import EmailState
from streams.domain.verdicts import one_line
from streams.events import Composed, EmailQueued, Header, MessageRequest, Site

PURPOSE = "report"
UNDELIVERED = (EmailState.FAILED, EmailState.EXPIRED)
SUBJECT = "Mail delivery failure"
MAX_LINES = 500  # a report that no mailbox takes helps nobody; the tables hold the rest
LIFETIME = timedelta(days=7)
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Undelivered:
    """One mail of the request that its recipient did not get, as the tables hold it."""

    email_id: str
    to: str
    subject: str
    status: EmailState
    reason: str
    reply: str
    attempts: int


def failure_report(
    request: MessageRequest, undelivered: Sequence[Undelivered], counts: Mapping[EmailState, int], now: datetime
) -> list[EmailQueued]:
    """One mail to the request's sender, its creator and the bounces address each, all in To. None where nothing failed.

    `undelivered` may be the first MAX_LINES of them; `counts` says how many there are. The same request gives the same
    ids, so that writing it twice sends it once. Addresses that are none are left out.
    """
    readers = _readers(request)
    text = _text(request, undelivered, counts)
    return [_email(request, reader, readers, text, now) for reader in readers] if undelivered else []


def rejection_report(request: MessageRequest, problems: Sequence[str], now: datetime) -> list[EmailQueued]:
    """As failure_report, of a request that was taken in and then rejected whole: expired before it was expanded, for one (9.4, example 84).

    Its sender may be what is wrong with it, and is left out then. None where the site's own domain is.
    """
    try:
        sender = read_sender(request.sender, request.site) if request.sender else None
    except AddressError:
        sender = None
    readers, lines = _readers(replace(request, sender=sender)), "\n".join(f"* {one_line(problem)}" for problem in problems)
    text = f"Nobody got your message {one_line(request.subject)!r}, because:\n\n{lines}\n\nRequest: {request.request_id}\n"
    return [_email(request, reader, readers, text, now) for reader in readers] if _is_sound(request.site) else []


def _is_sound(site: Site) -> bool:
    try:
        return bool(ascii_domain(site.domain))
    except AddressError:
        return False


def _readers(request: MessageRequest) -> list[str]:
    readers: dict[str, str] = {}
    for text in (request.sender or "", request.creator.email, request.site.bounces):
        try:
            address = parse_mailbox(text).address
        except AddressError:
            continue
        readers.setdefault(normalise(address), address)
    return list(readers.values())


def _text(request: MessageRequest, undelivered: Sequence[Undelivered], counts: Mapping[EmailState, int]) -> str:
    number, total = sum(counts.get(status, 0) for status in UNDELIVERED), sum(counts.values())
    shown = undelivered[:MAX_LINES]
    lines = [
        f"{number:,} of the {total:,} mails of your message {one_line(request.subject)!r} were not delivered:",
        "",
        *map(_line, shown),
        *([f"... and {number - len(shown):,} more."] if number > len(shown) else []),
        "",
        f"Of all its mails: {', '.join(_counted(counts))}.",
        f"Request: {request.request_id}",
    ]
    return "\n".join(lines) + "\n"


def _line(each: Undelivered) -> str:
    """Spec 9.4, example 97, with the server's words instead of an exception's class."""
    tried = f" after {each.attempts} attempt{'s' * (each.attempts != 1)}" if each.attempts else ""
    why = f", {each.reason}" if each.reason != each.status else ""
    said = f": {one_line(each.reply)}" if each.reply else ""
    return f"* {one_line(each.subject)} to {one_line(each.to)} ({each.email_id}): {each.status.replace('_', ' ')}{tried}{why}{said}"


def _counted(counts: Mapping[EmailState, int]) -> Iterator[str]:
    for status in EmailState:
        if counts.get(status):
            yield f"{counts[status]:,} {status.replace('_', ' ')}"


def _email(request: MessageRequest, reader: str, readers: list[str], text: str, now: datetime) -> EmailQueued:
    email_id = report_email_id(request.request_id, reader)
    name = message_id(email_id, request.site.domain)
    headers = [
        Header("From", default_sender(request.site)),  # the original's own From failed its own rule (spec 4.8)
        Header("To", ", ".join(readers)),
        Header("Subject", SUBJECT),
        Header("Date", format_datetime(now)),
        Header("Message-ID", name),
        Header("Auto-Submitted", "auto-generated"),
    ]
    return EmailQueued(
        email_id=email_id,
        request_id=None,  # it is none of the request's own mails, whose counts must add up
        inbound_id=None,
        user_id=None,
        purpose=PURPOSE,
        recipient=reader,
        to=reader,
        envelope_from="",  # a report about failures that fails is told to nobody (RFC 5321, section 4.5.5)
        subject=SUBJECT,
        message_id=name,
        queued_at=now,
        expires_at=now + LIFETIME,
        attempt=1,
        max_attempts=ATTEMPTS,
        on_doubt="resend",
        content=Composed(headers, text, None, []),
    )
