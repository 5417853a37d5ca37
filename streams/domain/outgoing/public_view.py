"""A public request as anybody may read it: the same template, with neutral words where a recipient's own would stand (spec 8, row 36)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from streams.domain.outgoing.check import Checked, check
from streams.domain.outgoing.policy import Policy, due_at
from streams.domain.outgoing.problems import Refused, RequestRefused
from streams.domain.outgoing.rendering import Rendered, render_mail
from streams.domain.outgoing.variables import OWN, Values, personal
from streams.events import MessageRequest

LINK = ("user", "unsubscribe_link")
NOWHERE = "#"
Path = tuple[str, ...]


def public_view(request: MessageRequest, now: datetime, policy: Policy) -> Rendered:
    """`[first name]` for what is the recipient's own. Raises RequestRefused for a request that may not be sent, RenderFault as for a mail."""
    checked = check(request, due_at(request), policy)  # how old it is does not matter here
    if isinstance(checked, Refused):
        raise RequestRefused(checked)
    return render_mail(checked, _neutral(checked), now)


def _neutral(checked: Checked) -> Values:
    """The request's own values and, where there is none, the name of a recipient's value.

    Nothing for what loops and conditions read: a word in its place would be taken for a list.
    """
    values = dict(checked.shared)
    for path in (*(("user", name) for name in OWN["user"]), *_shown(checked)):
        if not _has(values, path):
            values = _with(values, path, f"[{path[-1].replace('_', ' ')}]")
    return _with(values, LINK, NOWHERE)


def _shown(checked: Checked) -> Iterable[Path]:
    """The recipient's variables that are written out wherever they are named."""
    found = (*checked.subject.references, *checked.body.references)
    otherwise = {reference.path for reference in found if not reference.shown}
    return {each.path for each in found if each.path not in otherwise and personal([each.path], checked.request.person_variables)}


def _has(values: Values, path: Path) -> bool:
    value: object = values
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _with(values: Values, path: Path, text: str) -> Values:
    """A copy with `text` at the path."""
    if len(path) == 1:
        return {**values, path[0]: text}
    inner = values.get(path[0])
    return {**values, path[0]: _with(inner if isinstance(inner, dict) else {}, path[1:], text)}
