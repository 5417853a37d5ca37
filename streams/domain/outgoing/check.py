"""Everything about a request that is the same for all its recipients, checked and made ready once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import TypeVar

from streams.domain.addresses import check_address
from streams.domain.outgoing.from_rule import default_sender, read_sender
from streams.domain.outgoing.headers import header_problems, list_headers, read_reply_to, special_headers
from streams.domain.outgoing.html_body import is_html
from streams.domain.outgoing.policy import Policy, expires_at
from streams.domain.outgoing.problems import Problem, Refused
from streams.domain.outgoing.sendto import SEND_TO
from streams.domain.outgoing.templates import MAX_FAULTS, Compiled, TemplateFault, compile_template
from streams.domain.outgoing.variables import FORBIDDEN, MENU, OWN, Values, names_in, personal, shared_values
from streams.domain.verp import verp
from streams.events import Header, MessageRequest

PRIORITIES = ("bulk", "urgent")
DOUBT_POLICIES = ("hold", "resend")
ANY_EMAIL_ID = "00000000-0000-5000-8000-000000000000"
LINK_SHOWN = ((), ("unsubscribe_link",), ("items",))  # what of `user` shows the address's own link
MAX_SHOWN = 100  # characters of a variable that is not known
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that may be expanded. `once` drops an address that another person's mail already goes to."""

    request: MessageRequest
    policy: Policy
    sender: str
    reply_to: str
    subject: Compiled
    body: Compiled
    html: bool
    link_in_text: bool
    components: tuple[str, ...]
    once: bool
    headers: tuple[Header, ...]
    expires_at: datetime
    shared: Values


def check(request: MessageRequest, now: datetime, policy: Policy | None = None) -> Checked | Refused:
    """Ready one record of a request for expansion, or say everything that is wrong with it. Pure; costs some milliseconds."""
    chosen = policy or Policy()
    faults = [*_choice_faults(request), *_time_faults(request, now), *header_problems(request.special_headers)]
    sender = _read(faults, "from_not_allowed", "sender", lambda: _sender(request, chosen))
    reply_to = _read(faults, "invalid_reply_to", "reply_to", lambda: read_reply_to(request))
    _read(faults, "invalid_request", "site.bounces", lambda: _bounces(request, chosen))
    shared = _read(faults, "invalid_request", "variables", lambda: shared_values(request)) or {}
    known = MENU | names_in(shared) | set(request.person_variables)
    subject = _compiled(faults, request.subject, "subject", known)
    body = _compiled(faults, request.body, "body", known)
    if faults or sender is None or reply_to is None or subject is None or body is None:
        return Refused(tuple(faults))
    paths = [reference.path for reference in (*subject.references, *body.references)]
    return Checked(
        request=request,
        policy=chosen,
        sender=sender,
        reply_to=reply_to,
        subject=subject,
        body=body,
        html=is_html(request.body),
        link_in_text=any(path[0] == "user" and path[1:2] in LINK_SHOWN for path in paths),
        components=SEND_TO[request.send_to],
        once=request.dedupe == "on" or (request.dedupe == "auto" and not personal(paths, request.person_variables)),
        headers=(*list_headers(request), *special_headers(request.special_headers)),
        expires_at=expires_at(request),
        shared=shared,
    )


def _read(faults: list[Problem], code: str, where: str, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ValueError as error:  # AddressError is one
        faults.append(Problem(code, where, str(error)))
        return None


def _sender(request: MessageRequest, policy: Policy) -> str:
    written = (request.sender or "").strip()
    return read_sender(written, request.site, one_label=policy.one_label_from) if written else default_sender(request.site)


def _bounces(request: MessageRequest, policy: Policy) -> str:
    """Where bounces go, if it can be an envelope sender: with VERP it must have room for an email id."""
    bounces = check_address(request.site.bounces)
    return verp(bounces, ANY_EMAIL_ID) if policy.verp else bounces


def _choice_faults(request: MessageRequest) -> Iterator[Problem]:
    if request.send_to not in SEND_TO:
        choices = ", ".join(filter(None, SEND_TO))
        ask = f"; ask {request.site.support}" if request.site.support else ""
        yield Problem("unknown_send_to", "send_to", f"{request.send_to} is not one of the available choices ({choices}){ask}")
    if request.priority not in PRIORITIES:
        yield Problem("invalid_request", "priority", f"must be one of {', '.join(PRIORITIES)}, not {request.priority[:100]}")
    if request.on_doubt not in DOUBT_POLICIES:
        yield Problem("invalid_request", "on_doubt", f"must be one of {', '.join(DOUBT_POLICIES)}, not {request.on_doubt[:100]}")


def _time_faults(request: MessageRequest, now: datetime) -> Iterator[Problem]:
    """Exactly at its end a request may still go (spec 9.4, example 83)."""
    end = expires_at(request)
    if request.not_before is not None and end < request.not_before:
        yield Problem("invalid_request", "expires_at", "is before not_before: no mail could ever be sent")
    elif now > end:
        yield Problem("expired", "expires_at" if request.expires_at else "created_at", f"its time was over at {end.isoformat()}")


def _compiled(faults: list[Problem], source: str, where: str, known: frozenset[str]) -> Compiled | None:
    try:
        compiled = compile_template(source)
    except TemplateFault as fault:
        faults += [Problem("template_error", where, text) for text in fault.texts]
        faults += _variable_faults(fault.rest, where, known) if fault.rest else ()
        return None
    faults += _variable_faults(compiled, where, known)
    return compiled


def _variable_faults(compiled: Compiled, where: str, known: frozenset[str]) -> Iterator[Problem]:
    """The first MAX_FAULTS of them: looking for what was meant costs milliseconds each."""
    return islice(_all_variable_faults(compiled, where, known), MAX_FAULTS)


def _all_variable_faults(compiled: Compiled, where: str, known: frozenset[str]) -> Iterator[Problem]:
    first = {reference.path: reference for reference in reversed(compiled.references)}
    for path, reference in reversed(first.items()):
        fault = _variable_fault(path, known, shown=reference.shown)
        if fault:
            yield Problem("unknown_variable", where, f"{compiled.position(reference)}: {'.'.join(path)[:MAX_SHOWN]} {fault}")


def _variable_fault(path: tuple[str, ...], known: frozenset[str], *, shown: bool) -> str | None:
    """Why a template may not read `path`, or None."""
    if FORBIDDEN.intersection(path):
        return "may not be mailed: whoever reads the mail could take over the account"
    if path[0] == "request" and len(path) > 1 and path[1] not in OWN["request"]:
        return f"may not be read; of request there are {', '.join(OWN['request'])}"
    if path[0] in known or ".".join(path[:2]) in known:
        return None
    if any(name.startswith(f"{path[0]}.") for name in known):
        if path[1:2] == ("items",):
            return None
        if len(path) == 1:
            return f"is a group of values; name one of them, such as {_one_of(path[0], known)}" if shown else None
    near = get_close_matches(".".join(path[:2])[:MAX_SHOWN], known, n=1)
    return f"is not a known variable{f'; did you mean {near[0]}?' if near else ''}"


def _one_of(group: str, known: frozenset[str]) -> str:
    return min(name for name in known if name.startswith(f"{group}."))
