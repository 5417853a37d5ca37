"""The tags and filters that admins may use: Django's own, on an allow-list (architecture, section 9, point 11).

Where one of Django's could run away or read the clock, ours stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.template import Library
from django.template.base import Node, TextNode
from django.template.defaultfilters import date
from django.template.defaultfilters import register as django_filters
from django.template.defaulttags import register as django_tags

from streams.domain.outgoing.template_data import MAX_WORK, DataContext, Overrun, size_of

TAGS = ("if", "with", "firstof", "cycle", "ifchanged", "comment", "spaceless", "verbatim", "templatetag", "widthratio", "regroup")
REFUSED_FILTERS = (
    "safe",  # only the site says what is HTML, by {"html": ...}
    "safeseq",
    "pprint",  # shows what is behind a value
    "random",  # two renderings of one mail must be equal
)
MAX_WIDTH = 1000  # characters that one filter may pad to
NODE_WORK = 50  # rendering a node once, in characters

FORMAT_WORK = 20  # writing one letter of a date's format


def _measured(original: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, unless its text is longer than a mail may be: a chain of filters that each double it would fill the memory."""

    @wraps(original)
    def filtered(*given: Any, **named: Any) -> Any:
        result = original(*given, **named)
        if isinstance(result, str) and len(result) > MAX_WORK:
            raise Overrun("a filter makes too long a text")
        return result

    return filtered


register = Library()
register.tags.update({name: django_tags.tags[name] for name in TAGS})
register.filters.update({name: _measured(function) for name, function in django_filters.filters.items() if name not in REFUSED_FILTERS})


class _Counted:
    """A loop's sequence: taking it costs what the loop will do, before it does it."""

    def __init__(self, sequence: Any, work: int) -> None:
        self.expression = sequence
        self._work = work

    def resolve(self, context: DataContext, ignore_failures: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        values = self.expression.resolve(context, ignore_failures=ignore_failures)
        if not isinstance(values, str | list | tuple | dict):
            return ()  # a number, say: nothing to go through
        context.spend(len(values) * self._work)
        return values


@register.tag("for")  # type: ignore[untyped-decorator]  # Django brings no types
def _for(parser: Any, token: Any) -> Any:
    node = django_tags.tags["for"](parser, token)
    inside = node.nodelist_loop.get_nodes_by_type(Node)
    node.sequence = _Counted(node.sequence, sum(len(n.s) if isinstance(n, TextNode) else NODE_WORK for n in inside) + NODE_WORK)
    return node


class NowNode(Node):  # type: ignore[misc]  # Django brings no types
    """The instant of the expansion, in UTC: the clock is not asked, so a mail renders the same again."""

    def __init__(self, format_string: str, asvar: str | None) -> None:
        self.format_string = format_string
        self.asvar = asvar

    def render(self, context: DataContext) -> str:
        context.spend(FORMAT_WORK * len(self.format_string))
        text = str(date(context.now, self.format_string))
        if self.asvar is None:
            return text
        context[self.asvar] = text
        return ""


@register.tag("now")  # type: ignore[untyped-decorator]  # Django brings no types
def _now(parser: Any, token: Any) -> NowNode:
    node = django_tags.tags["now"](parser, token)
    return NowNode(node.format_string, node.asvar)


def _bounded(name: str) -> None:
    """Put a limit on the number in a filter's argument: a width, or a count of digits."""
    original: Callable[..., Any] = django_filters.filters[name]

    def limited(value: Any, arg: Any = -1) -> Any:
        if any(int(number[:9]) > MAX_WIDTH for number in re.findall(r"\d+", str(arg))):
            raise Overrun(f"{name} is asked for more than {MAX_WIDTH} characters")
        return original(value, arg)

    register.filter(name, limited, is_safe=getattr(original, "is_safe", False))


for _name in ("center", "ljust", "rjust", "stringformat", "floatformat"):
    _bounded(_name)


@register.filter(is_safe=True, needs_autoescape=True)  # type: ignore[untyped-decorator]  # Django brings no types
def join(value: Any, arg: Any, autoescape: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
    """Django's, unless the separators alone would be more than a mail may hold."""
    if len(str(arg)) * size_of(value) > MAX_WORK:
        raise Overrun("join makes too long a text")
    return django_filters.filters["join"](value, arg, autoescape=autoescape)
