"""The header fields that a request may bring along (spec 8, rows 17 and 18; spec 5.3), and those that we write."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256

from streams.domain.addresses import AddressError, parse_mailbox, split_mailboxes
from streams.domain.mime_fields import field
from streams.domain.outgoing.problems import Problem
from streams.events import Header, MessageRequest

MAX_HEADERS = 20
MAX_VALUE = 998  # RFC 5322, section 2.1.1, unfolded
NAME = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322, section 3.6.8 (ftext)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

ALLOWED = frozenset({"reply-to", "in-reply-to", "references"})
ALLOWED_PREFIX = "x-"
# X- fields with which a provider lets the sender change the recipients, the sender or the content.
STEERING = (
    "x-smtpapi",  # SendGrid: replaces recipients, filters, categories
    "x-ses-",  # SES: source and configuration set
    "x-mailgun-",  # Mailgun: recipient variables
    "x-mc-",  # Mandrill: merge variables, subaccount
    "x-mj-",  # Mailjet: templates
    "x-pm-",  # Postmark: message stream
    "x-msys-api",  # SparkPost: options and substitution data
    "x-esp-sender",  # ours: the loop mark of relayed mail
)


def header_problems(headers: Mapping[str, str]) -> Iterator[Problem]:
    """Every fault of a request's special headers."""
    if len(headers) > MAX_HEADERS:
        yield Problem("invalid_request", "special_headers", f"has {len(headers)} fields; {MAX_HEADERS} are allowed")
    seen: set[str] = set()
    for name, value in headers.items():
        fault = _fault(name, value, seen)
        if fault:
            yield Problem("header_not_allowed", f"special_headers[{name[:76]!r}]", fault)
        seen.add(name.lower())


def _fault(name: str, value: str, seen: set[str]) -> str | None:
    key = name.lower()
    if not NAME.fullmatch(name):
        return "is no header name"
    if key in seen:
        return "is there twice, in different case"
    if key not in ALLOWED and (not key.startswith(ALLOWED_PREFIX) or key.startswith(STEERING)):
        return "may not be set; allowed are Reply-To, In-Reply-To, References and X- fields that steer no mail system"
    if CONTROL.search(value.strip()):
        return "has a line break or control character in its value"
    if len(value) > MAX_VALUE:
        return f"is {len(value)} characters long; {MAX_VALUE} are allowed"
    return _wire_fault(name, value) if key != "reply-to" else None


def _wire_fault(name: str, value: str) -> str | None:
    """What the writer of the mail would refuse: message ids are ASCII, and the line of one must not be too long."""
    try:
        field(name, value.strip())
    except ValueError as error:
        return f"cannot be sent: {error}"
    return None


def special_headers(headers: Mapping[str, str]) -> list[Header]:
    """The checked fields to add, trimmed; Reply-To has its own place, blank ones are left out."""
    return [Header(name, value.strip()) for name, value in headers.items() if name.lower() != "reply-to" and value.strip()]


def read_reply_to(request: MessageRequest) -> str:
    """The Reply-To value; '' for none. Raises AddressError for no address list, or for two that disagree.

    Without a sender of its own, a request's answers go to the admin who composed it (spec 8, row 19).
    """
    special = next((value for name, value in request.special_headers.items() if name.lower() == "reply-to"), "").strip()
    given = (request.reply_to or "").strip()
    if special and given and _address_list(special) != _address_list(given):
        raise AddressError(f"says {given}, but the Reply-To in special_headers says {special}; give one of them")
    if special or given:
        return _address_list(given or special)
    return "" if (request.sender or "").strip() else _creator_address(request)


def _address_list(text: str) -> str:
    return ", ".join(parse_mailbox(item).formatted for item in split_mailboxes(text))


def _creator_address(request: MessageRequest) -> str:
    try:
        return parse_mailbox(request.creator.email).address
    except AddressError:
        return ""


def list_headers(request: MessageRequest) -> list[Header]:
    """What tells receivers which mailing a mail belongs to: List-Id (RFC 2919) for bulk mail, Feedback-ID for its complaints."""
    domain = request.site.domain
    campaign = sha256(request.request_id.encode()).hexdigest()[:16]
    feedback = Header("Feedback-ID", f"{campaign}:{domain}:request:espmail")
    if request.priority != "bulk":
        return [feedback]
    return [Header("List-Id", f"<announcements.{domain}>"), feedback]
