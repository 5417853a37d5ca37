"""Django's template language over data alone: a lookup reads JSON values and never calls or asks an object anything.

Work is counted as it is done, so that no template can take more than its share of time or memory for one mail.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any, NoReturn

from django.template import Context, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Variable, VariableDoesNotExist, VariableNode, render_value_in_context
from django.template.defaulttags import GroupedResult
from django.utils.safestring import mark_safe

from streams.domain.outgoing.html_text import html_to_text
from streams.domain.outgoing.variables import is_group

# About a character of text each; a tenth of a second at most. A page-long schedule takes some thousands.
MAX_WORK = 1_000_000
LOOKUP_WORK = 10
NO_HTML = {"html": None}  # a value as HTML that the site does not have
TAKE_NONE = ("default_if_none", "yesno")  # the filters that tell null from blank


class Overrun(Exception):
    """The template does more work for one mail than any mail needs."""


class DataContext(Context):  # type: ignore[misc]  # Django brings no types
    """The values of one rendering. `gaps` collects the names that were shown but had no value."""

    def __init__(self, values: dict[str, Any], now: datetime, *, html: bool) -> None:
        super().__init__(values, autoescape=html)
        self.dicts.append({})  # what tags set stays out of `values`
        self.now = now
        self.gaps: set[str] = set()
        self._left = MAX_WORK

    def spend(self, work: int) -> None:
        """Count work that is about to be done. Raises Overrun."""
        self._left -= work
        if self._left < 0:
            raise Overrun("the template does too much work for one mail; look for loops within loops")


def look_up(context: DataContext, path: tuple[str, ...]) -> Any:
    """The value at a dotted path, or None."""
    for names in reversed(context.dicts):
        if path[0] in names:
            value = names[path[0]]
            break
    else:
        return None
    for name in path[1:]:
        value = _step(value, name)
    return None if value == NO_HTML else value


def _step(value: Any, name: str) -> Any:
    kind = type(value)
    if kind is dict:
        return list(value.items()) if name == "items" and name not in value else value.get(name)
    if kind in (list, tuple):
        return value[int(name)] if name.isdecimal() and int(name) < len(value) else None
    if kind is GroupedResult and name in GroupedResult._fields:
        return getattr(value, name)
    return None


def size_of(value: Any) -> int:
    """Work that a value stands for: characters of text, items of a list with theirs."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return 1 + sum(len(name) + size_of(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return 1 + sum(map(size_of, value))
    return 1


def read(context: DataContext, path: tuple[str, ...]) -> Any:
    """The value at a path, ready for this context, or None; `{"html": ...}` is HTML as it is, or its text. Raises Overrun."""
    value = look_up(context, path)
    if value is None:
        return None
    context.spend(LOOKUP_WORK + size_of(value))
    return _ready(context, value)


def _ready(context: DataContext, value: Any) -> Any:
    if isinstance(value, dict) and not is_group(value):
        if value == NO_HTML:
            return None
        return mark_safe(value["html"]) if context.autoescape else html_to_text(value["html"])  # noqa: S308 - the site vouches for it
    if isinstance(value, list):  # a filter such as join shows its items, of which null is nothing to show
        return ["" if (ready := _ready(context, item)) is None else ready for item in value]
    return value


class DataVariable(Variable):  # type: ignore[misc]  # Django brings no types
    """A name or number in a template. A name without a value is `absent`, or raises VariableDoesNotExist as Django's does."""

    def __init__(self, name: str, **absent: Any) -> None:
        super().__init__(name)
        self._absent = absent

    def resolve(self, context: DataContext) -> Any:
        if self.lookups is None:
            return self.literal
        value = read(context, self.lookups)
        if value is not None:
            return value
        if "value" in self._absent:
            return self._absent["value"]
        raise VariableDoesNotExist("%r has no value", (self.var,))


class DataExpression(FilterExpression):  # type: ignore[misc]  # Django brings no types
    """A variable with its filters. `path` is None for a constant."""

    def __init__(self, token: str, parser: Parser) -> None:
        super().__init__(token, parser)
        self.var: Any
        self.filters: list[Any]
        self.path: tuple[str, ...] | None = self.var.lookups if self.is_var else None
        if self.is_var:
            first = getattr(self.filters[0][0], "_filter_name", "") if self.filters else ""
            self.var = DataVariable(self.var.var, **({"value": None} if first in TAKE_NONE else {}))
        self.filters = [
            (function, [(named, DataVariable(value.var, value="") if named else value) for named, value in arguments])
            for function, arguments in self.filters
        ]

    def resolve(self, context: DataContext, ignore_failures: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        if self.path and not self.filters:
            value = read(context, self.path)
        else:
            value = super().resolve(context, ignore_failures)
            context.spend(size_of(value))
        if ignore_failures or not (value is None or value == ""):
            return value
        if self.path and look_up(context, self.path) is None:
            context.gaps.add(".".join(self.path))
        return ""


class DataNode(VariableNode):  # type: ignore[misc]  # Django brings no types
    """A {{ }}: plain text takes a short cut, since it is nearly all that mails show; anything else is Django's to format."""

    def render(self, context: DataContext) -> str:
        value = self.filter_expression.resolve(context)
        if type(value) is str:
            return escape(value) if context.autoescape else value
        if is_group(value):  # names of values, which are nothing to show
            context.gaps.add(str(self.filter_expression))
            return ""
        return str(render_value_in_context(value, context))


class DataParser(Parser):  # type: ignore[misc]  # Django brings no types
    """Django's parser with our expressions, and with words for admins."""

    def compile_filter(self, token: str) -> DataExpression:
        return DataExpression(token, self)

    def extend_nodelist(self, nodelist: Any, node: Any, token: Any) -> None:
        super().extend_nodelist(nodelist, DataNode(node.filter_expression) if type(node) is VariableNode else node, token)

    def find_filter(self, filter_name: str) -> Any:
        if filter_name not in self.filters:
            raise TemplateSyntaxError(f"the filter {filter_name} cannot be used here")
        return self.filters[filter_name]

    def invalid_block_tag(self, token: Any, command: str, parse_until: Any = None) -> NoReturn:
        expected = f"; expected {' or '.join(parse_until)}" if parse_until else ""
        raise self.error(token, f"the tag {{% {command} %}} cannot be used here{expected}")
