"""What an installation may choose about outgoing mail; the defaults are the specification's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from streams.events import MessageRequest

LIFETIME = timedelta(days=7)  # spec 4.3, counted from when the request became due (spec 8, row 9)


@dataclass(frozen=True, slots=True)
class Policy:
    """`one_label_from`: the original's narrower From rule. `verp`: one envelope sender an email (architecture, section 8).

    `attempts`: how often an email is offered to the MTA, the original's EMAILRETRIES + 1.
    `approval_over`: requests to more people than this wait for approval; 0: only those that ask for it; below 0: all.
    """

    one_label_from: bool = False
    verp: bool = False
    attempts: int = 3
    approval_over: int = 0


def needs_approval(request: MessageRequest, policy: Policy) -> bool:
    """Whether somebody must approve before anything goes out; the same for every chunk of a request."""
    return request.needs_approval or policy.approval_over < 0 or 0 < policy.approval_over < request.recipients_total


def due_at(request: MessageRequest) -> datetime:
    """From when on the request may be expanded: not before it is there, however long ago it might have been."""
    return max(request.not_before or request.created_at, request.created_at)


def expires_at(request: MessageRequest) -> datetime:
    """The last instant at which any of its mail may be offered: as the request says, else a week after it became due."""
    if request.expires_at is not None:
        return request.expires_at
    try:
        return due_at(request) + LIFETIME
    except OverflowError:
        return due_at(request)
