"""The variables of templates (spec 2.6): which are known, which are the recipient's own, and a recipient's values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard
from urllib.parse import quote

from streams.events import MessageRequest, Person

Values = dict[str, Any]

# What espmail itself fills in; a request's variables cannot change these.
OWN = {"user": ("name", "first_name", "last_name", "username", "unsubscribe_link"), "request": ("public_url", "id", "subject")}
# What the site computes, where it has a value. (program.receipt is one that never had: spec 8, row 26.)
SITE_PROGRAM = (
    "date", "date_range", "teacher_reg_deadline", "student_schedule", "student_schedule_norooms", "teacher_schedule",
    "teacher_schedule_dates", "moderator_schedule", "moderator_schedule_dates", "teachermoderator_schedule",
    "teachermoderator_schedule_dates", "volunteer_schedule", "volunteer_schedule_dates", "schedule", "transcript",
    "transcript_html", "transcript_latex", "receipt", "full_classes", "schedule_app",
)  # fmt: skip
MENU = frozenset(
    {f"{group}.{name}" for group, names in OWN.items() for name in names}
    | {f"program.{name}" for name in SITE_PROGRAM}
    | {"EMAIL_HOST_SENDER"}
)
# A live password-reset link by mail is an account for whoever reads the mail (spec 8, row 25).
FORBIDDEN = frozenset({"recover_url", "recover_query"})


def names_in(values: Mapping[str, Any]) -> set[str]:
    """The names that a variables object makes known: "program.date" for a value of a group, "deadline" for a bare one."""
    names: set[str] = set()
    for key, value in values.items():
        names |= {f"{key}.{name}" for name in value} if is_group(value) else {key}
    return names


def read_values(text: str) -> Values:
    """The JSON object in `text`. Raises ValueError."""
    try:
        values = json.loads(text)
    except RecursionError:
        raise ValueError("the variables are nested too deep") from None
    if not isinstance(values, dict):
        raise ValueError("the variables are no JSON object")  # noqa: TRY004 - a fault of the data, not of the caller
    return values


def is_group(value: object) -> TypeGuard[Values]:
    """True for an object of values, such as program; {"html": ...} is one value, or none if that is null."""
    return isinstance(value, dict) and not (len(value) == 1 and isinstance(value.get("html", 0), str | None))


def merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> Values:
    """A request's variables with a recipient's on top: groups are joined, any other value is replaced."""
    values = dict(shared)
    for key, value in own.items():
        before = values.get(key)
        values[key] = {**before, **value} if is_group(before) and is_group(value) else value
    return values


def shared_values(request: MessageRequest) -> Values:
    """What is the same for every recipient. Raises ValueError if the variables are no JSON object."""
    values = read_values(request.variables)
    domain = request.site.domain
    values["request"] = {
        "public_url": f"https://{domain}/email/{quote(request.request_id, safe='')}",
        "id": request.request_id,
        "subject": request.subject,
    }
    values["EMAIL_HOST_SENDER"] = domain
    return values


def values_for(person: Person, shared: Values) -> Values:
    """Everything that the person's mail may say, but for user.unsubscribe_link, which is the address's (expansion.py).

    Raises ValueError if the person's variables are no JSON object.
    """
    own = {} if person.variables == "{}" else read_values(person.variables)
    values = merged(shared, own) if own else dict(shared)
    values.update({"request": shared["request"], "EMAIL_HOST_SENDER": shared["EMAIL_HOST_SENDER"]})
    more = values.get("user")
    allowed = {key: value for key, value in more.items() if key not in FORBIDDEN} if is_group(more) else {}
    values["user"] = {**allowed, **_account(person)}
    return values


def _account(person: Person) -> Values:
    return {
        "name": f"{person.first_name} {person.last_name}".strip(),
        "first_name": person.first_name,
        "last_name": person.last_name,
        "username": person.username,
    }


def personal(paths: Iterable[tuple[str, ...]], person_variables: Iterable[str]) -> bool:
    """True if one of these variables may differ from recipient to recipient."""
    own = {tuple(name.split(".", 1)) for name in person_variables}
    return any(path[0] == "user" or path[:2] in own or path[:1] in own or _is_group_of(path, own) for path in paths)


def _is_group_of(path: tuple[str, ...], own: set[tuple[str, ...]]) -> bool:
    """A whole group, `{% for name, value in program.items %}`, has whatever its values have."""
    return any(name[0] == path[0] for name in own) and (len(path) == 1 or path[1] == "items")
