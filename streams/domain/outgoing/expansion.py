"""From a checked request to what each recipient gets: one EmailQueued for an address, or one RecipientSkipped with why.

The lines add up (architecture, section 9, point 8): one for each address looked at; a person who gets nothing has
exactly one; a missing contact beside other addresses, and the same address twice within a person, have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime

from streams.domain.addresses import AddressError, address_hash, check_address
from streams.domain.ids import message_id, request_email_id
from streams.domain.outgoing.check import Checked
from streams.domain.outgoing.rendering import Rendered, render_mail
from streams.domain.outgoing.sendto import Target, first_target, targets
from streams.domain.outgoing.templates import RenderFault
from streams.domain.outgoing.unsubscribe import Keyring, make_token, unsubscribe_url
from streams.domain.outgoing.variables import Values, values_for
from streams.domain.verp import verp
from streams.events import Composed, EmailQueued, Header, Person, RecipientSkipped

Line = EmailQueued | RecipientSkipped
PURPOSE = "request"


@dataclass(frozen=True, slots=True)
class Facts:
    """What expansion must know beside the request: `suppressed` gives the reason for an address's hash, or None."""

    suppressed: Callable[[str], str | None]
    keyring: Keyring


@dataclass(frozen=True, slots=True)
class _Run:
    """One pass over a record's people. `mailed` and `gaps` grow with it."""

    checked: Checked
    facts: Facts
    now: datetime
    date: str
    mailed: set[str]
    gaps: Counter[str]


def expand(checked: Checked, facts: Facts, now: datetime, gaps: Counter[str] | None = None) -> Iterator[Line]:
    """The lines of one record of a request, lazily and in order; the same ids each time.

    `gaps` counts, by name, the mails in which a variable was shown but had no value (for `gap_warnings`).
    """
    run = _Run(checked, facts, now, format_datetime(now), set(checked.request.mailed_before), Counter() if gaps is None else gaps)
    for person in checked.request.recipients:
        yield from _lines(run, person)


def gap_warnings(gaps: Counter[str]) -> list[str]:
    """What the author should know of `gaps`, the most frequent first."""
    return [f"{name} has no value in {count} mails and is left empty there" for name, count in gaps.most_common(100)]


def _lines(run: _Run, person: Person) -> list[Line]:
    found = targets(person, run.checked.components)
    nowhere = found[0] if found else first_target(person, run.checked.components)
    if not person.active:
        return [_skipped(run, person, nowhere, "inactive", "the account is not active")]
    if not found:
        return [_skipped(run, person, nowhere, "no_address", f"there is no address of {' or '.join(run.checked.components)}")]
    texts: dict[str, Rendered] = {}
    lines = [_line(run, person, target, texts) for target in found]
    skips = [line for line in lines if isinstance(line, RecipientSkipped)]
    if len(skips) < len(lines) or len(skips) == 1:
        return lines
    return [replace(skips[0], detail="; ".join(f"{skip.to}: {skip.detail}" for skip in skips))]


def _line(run: _Run, person: Person, target: Target, texts: dict[str, Rendered]) -> Line:
    try:
        address = check_address(target.address)
    except AddressError as error:
        return _skipped(run, person, target, "invalid_address", str(error))
    hashed = address_hash(address)
    suppressed = run.facts.suppressed(hashed)
    if suppressed is not None:
        return _skipped(run, person, target, "suppressed", suppressed)
    if run.checked.once and hashed in run.mailed:
        return _skipped(run, person, target, "duplicate", "another recipient of this request has the same address, and the same mail")
    try:
        email = _email(run, person, target, hashed, texts)
    except RenderFault as error:
        return _skipped(run, person, target, "render_failed", str(error))
    run.mailed.add(hashed)
    return email


def _skipped(run: _Run, person: Person, target: Target, reason: str, detail: str) -> RecipientSkipped:
    return RecipientSkipped(
        request_id=run.checked.request.request_id,
        at=run.now,
        email_id=request_email_id(run.checked.request.request_id, person.user_id, target.address),
        user_id=person.user_id,
        to=target.formatted,
        reason=reason,
        detail=detail[:1000],
    )


def _email(run: _Run, person: Person, target: Target, hashed: str, texts: dict[str, Rendered]) -> EmailQueued:
    request = run.checked.request
    email_id = request_email_id(request.request_id, person.user_id, target.address)
    link = unsubscribe_url(request.site.domain, make_token(run.facts.keyring, hashed, PURPOSE, email_id))
    to, text = target.formatted, _text(run, person, link, texts)
    wire_id = message_id(email_id, request.site.domain)
    return EmailQueued(
        email_id=email_id,
        request_id=request.request_id,
        inbound_id=None,
        user_id=person.user_id,
        purpose=PURPOSE,
        recipient=target.address,
        to=to,
        envelope_from=_envelope_from(run.checked, email_id),
        subject=text.subject,
        message_id=wire_id,
        queued_at=run.now,
        expires_at=run.checked.expires_at,
        attempt=1,
        max_attempts=run.checked.policy.attempts,
        on_doubt=request.on_doubt,
        content=Composed(_headers(run, to, text.subject, wire_id, link), text.text, text.html, request.attachments),
    )


def _text(run: _Run, person: Person, link: str, texts: dict[str, Rendered]) -> Rendered:
    """Rendered once a person, or once an address where the text shows the address's own unsubscribe link."""
    key = link if run.checked.link_in_text else ""
    if key not in texts:
        texts[key] = render_mail(run.checked, _values(person, run.checked.shared, link), run.now)
    run.gaps.update(texts[key].gaps)
    return texts[key]


def _values(person: Person, shared: Values, link: str) -> Values:
    try:
        values = values_for(person, shared)
    except ValueError as error:
        raise RenderFault(str(error)) from error
    values["user"]["unsubscribe_link"] = link
    return values


def _envelope_from(checked: Checked, email_id: str) -> str:
    """The bounces address, or one for this email alone at the same domain (VERP; spec 9.2, example 63)."""
    bounces = checked.request.site.bounces
    return verp(bounces, email_id) if checked.policy.verp else bounces


def _headers(run: _Run, to: str, subject: str, wire_id: str, link: str) -> list[Header]:
    reply_to = run.checked.reply_to
    return [
        Header("From", run.checked.sender),
        Header("To", to),
        Header("Subject", subject),
        Header("Date", run.date),
        Header("Message-ID", wire_id),
        *([Header("Reply-To", reply_to)] if reply_to else []),
        Header("List-Unsubscribe", f"<{link}>"),
        Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        *run.checked.headers,
    ]
