"""A message request as the site hands it in: a JSON document in, one MessageRequest event out, or every fault at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256

from streams.domain.addresses import ascii_domain, check_address
from streams.domain.outgoing.attachments import read_attachments
from streams.domain.outgoing.check import check
from streams.domain.outgoing.fields import Fields, Notes
from streams.domain.outgoing.html_body import without_data_images
from streams.domain.outgoing.people import MAX_ADDRESS_TEXT, MAX_ID, MAX_NAME, MAX_VARIABLES, Audience, read_people
from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.problems import Problem, Refused, RequestRefused
from streams.events import Creator, MessageRequest, Site

# Characters: a request's head and one person always fit a record.
MAX_SUBJECT = 1000
MAX_BODY = 1_000_000
MAX_HEADER = 10_000  # read whole here; headers.py says what a value may be

# How it is cut up and when it came are not what it says; who gets it is hashed as it is read.
NOT_CONTENT = ("submitted_at", "content_hash", "chunk", "chunks", "recipients_total", "person_variables", "mailed_before", "recipients")
ID = re.compile(r"[A-Za-z0-9._~:@+=-]+")
# Fault -> the parts of the document without which it cannot be told.
DEPENDS = {
    "from_not_allowed": ("site", "sender"),
    "unknown_variable": ("variables", "recipients"),
    "expired": ("created_at", "not_before", "expires_at"),
}
PRIORITIES: Mapping[object, str] = {"bulk": "bulk", "urgent": "urgent"}
DEDUPE: Mapping[object, str] = {"auto": "auto", True: "on", False: "off"}
ON_DOUBT: Mapping[object, str] = {"hold": "hold", "resend": "resend"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A sound request, whole (chunk 0 of 1), and what its author should know all the same."""

    request: MessageRequest
    warnings: tuple[str, ...]


def parse_request(document: object, now: datetime, policy: Policy | None = None) -> Parsed:
    """Read and check a whole request document (architecture, section 8). Raises RequestRefused naming every fault."""
    return _checked(document, None, Notes(), now, policy or Policy())


def parse_head(document: object, audience: Audience, notes: Notes, now: datetime, policy: Policy) -> Parsed:
    """As parse_request, for a document whose recipients were read elsewhere; `notes` is what that found. The request has no people."""
    if isinstance(document, Mapping) and "recipients" in document:
        notes.problem("recipients", "stand in the document and beside it; give them once")
    return _checked(document, audience, notes, now, policy)


def _checked(document: object, audience: Audience | None, notes: Notes, now: datetime, policy: Policy) -> Parsed:
    request = _read(Fields(_without_data_images(document, notes), "", notes), audience, now, notes)
    outcome = check(request, now, policy)
    further = _sure(outcome.problems, notes.problems) if isinstance(outcome, Refused) else []
    if notes.problems or further:
        raise RequestRefused(Refused((*notes.all_problems(), *further)))
    return Parsed(request, tuple(notes.all_warnings()))


def _sure(found: Iterable[Problem], before: Iterable[Problem]) -> list[Problem]:
    """The faults of content that are not just echoes of faults in the document's structure."""
    places = {problem.where for problem in before}
    parts = {_part(place) for place in places}
    if "" in places:
        return []
    return [
        problem
        for problem in found
        if problem.where not in places and _part(problem.where) not in places and not parts.intersection(DEPENDS.get(problem.code, ()))
    ]


def _part(where: str) -> str:
    return re.split(r"[.\[]", where)[0]


def _without_data_images(document: object, notes: Notes) -> object:
    """The document with images inside the body's text removed (spec 2.5, rule 1), before anything counts its size."""
    if not isinstance(document, Mapping) or not isinstance(document.get("body"), str):
        return document
    body, removed = without_data_images(document["body"])
    if removed:
        notes.warning(f"body: {removed} images written into the text (data:) were removed; most mail programs do not show them")
    return {**document, "body": body}


def _read(fields: Fields, given: Audience | None, now: datetime, notes: Notes) -> MessageRequest:
    created_at = fields.instant("created_at")
    audience = given or Audience()
    people = read_people(fields, notes, audience) if given is None else []
    request = MessageRequest(
        request_id=_request_id(fields),
        submitted_at=now,
        created_at=created_at or now,
        not_before=fields.instant("not_before"),
        expires_at=fields.instant("expires_at"),
        subject=fields.text("subject", MAX_SUBJECT, required=True),
        body=fields.text("body", MAX_BODY, required=True),
        sender=fields.optional_text("sender", MAX_ADDRESS_TEXT),
        reply_to=fields.optional_text("reply_to", MAX_ADDRESS_TEXT),
        special_headers=_headers(fields),
        send_to=fields.text("send_to", MAX_ID),
        priority=fields.choice("priority", PRIORITIES, "bulk"),
        public=fields.flag("public", default=False),
        dedupe=fields.choice("dedupe", DEDUPE, "auto"),
        on_doubt=fields.choice("on_doubt", ON_DOUBT, "hold"),
        inline_css=fields.flag("inline_css", default=False),
        needs_approval=fields.flag("needs_approval", default=False),
        creator=_creator(fields.object("creator")),
        site=_site(fields.object("site")),
        variables=fields.json_object("variables", MAX_VARIABLES),
        attachments=read_attachments(fields, notes),
        content_hash="",
        chunk=0,
        chunks=1,
        recipients_total=audience.total,
        person_variables=audience.names(notes),
        mailed_before=[],
        recipients=people,
    )
    fields.warn_of_unknown()
    _warn_of_blanks(request, notes)
    return replace(request, content_hash=_content_hash(request, created_at, audience.digest))


def _request_id(fields: Fields) -> str:
    text = fields.identity("request_id", MAX_ID)
    if text and not ID.fullmatch(text):
        fields.problem("request_id", "may hold only letters, digits and . _ ~ : @ + = -; a UUID is best")
    return text


def _headers(fields: Fields) -> dict[str, str]:
    if fields.raw("special_headers") is None:
        return {}
    headers = fields.object("special_headers")
    return {name: headers.text(name, MAX_HEADER) for name in headers.names()}


def _creator(fields: Fields) -> Creator:
    creator = Creator(
        user_id=fields.identity("user_id", MAX_ID),
        first_name=fields.text("first_name", MAX_NAME),
        last_name=fields.text("last_name", MAX_NAME),
        email=fields.text("email", MAX_ADDRESS_TEXT),
    )
    fields.warn_of_unknown()
    return creator


def _site(fields: Fields) -> Site:
    site = Site(
        domain=fields.checked("domain", MAX_NAME, ascii_domain),
        group_name=fields.text("group_name", MAX_NAME),
        bounces=fields.checked("bounces", MAX_ADDRESS_TEXT, check_address),
        support=fields.text("support", MAX_ADDRESS_TEXT),
    )
    fields.warn_of_unknown()
    return site


def _warn_of_blanks(request: MessageRequest, notes: Notes) -> None:
    for key in ("subject", "body"):
        if not getattr(request, key).strip():
            notes.warning(f"{key} is blank")


def _content_hash(request: MessageRequest, created_at: datetime | None, audience: str) -> str:
    """Equal for the same submission handed in again: a created_at that we made up does not count."""
    head = {**asdict(replace(request, recipients=[])), "created_at": created_at, "audience": audience}
    for key in NOT_CONTENT:
        del head[key]
    return sha256(json.dumps(head, sort_keys=True, default=str).encode()).hexdigest()
