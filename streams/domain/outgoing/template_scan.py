"""Which variables a compiled template reads, found without rendering it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.template.base import Node, NodeList, VariableNode
from django.template.defaulttags import CycleNode, FirstOfNode, ForNode, IfChangedNode, IfNode, RegroupNode, WidthRatioNode, WithNode

from streams.domain.outgoing.template_data import DataExpression, DataVariable

Scope = frozenset[str]
BUILTIN: Scope = frozenset({"forloop", "True", "False", "None"})
MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable that the caller must provide. `shown`: it stands alone in {{ }}, so its value becomes text as it is."""

    path: tuple[str, ...]
    offset: int
    shown: bool


class TooDeep(Exception):
    """Tags within tags beyond MAX_DEPTH."""


def references(nodes: NodeList) -> Iterator[Reference]:
    """Every variable that the template does not set itself, in order. Raises TooDeep.

    What a tag sets by `as` counts as set everywhere: it outlives some blocks and not others.
    """
    return _within(nodes, BUILTIN.union(*(_set_by(node) for node in nodes.get_nodes_by_type(Node))), depth=0)


def _within(nodes: NodeList, bound: Scope, depth: int) -> Iterator[Reference]:
    if depth > MAX_DEPTH:
        raise TooDeep(f"tags stand within tags {MAX_DEPTH} deep; that is too deep")
    for node in nodes:
        for expression in _expressions(node):
            yield from _named(expression, bound, node)
        for inside, names in _insides(node):
            yield from _within(inside, bound | names, depth + 1)


def _named(expression: Any, bound: Scope, node: Any) -> Iterator[Reference]:
    """The names in an expression: a FilterExpression with its arguments, or the operator tree of {% if %}."""
    if isinstance(expression, DataExpression):
        arguments = [value.lookups for _, given in expression.filters for _, value in given if isinstance(value, DataVariable)]
        shown = isinstance(node, VariableNode) and not expression.filters
        for path in filter(None, [expression.path, *arguments]):
            if path[0] not in bound:
                yield Reference(path, node.token.position[0], shown)
        return
    for part in ("value", "first", "second", "expression"):
        if getattr(expression, part, None) is not None:
            yield from _named(getattr(expression, part), bound, node)


def _expressions(node: Any) -> list[Any]:
    match node:
        case VariableNode():
            return [node.filter_expression]
        case IfNode():
            return [condition for condition, _ in node.conditions_nodelists]
        case ForNode():
            return [node.sequence]
        case WithNode():
            return list(node.extra_context.values())
        case FirstOfNode():
            return list(node.vars)
        case CycleNode():
            return list(node.cyclevars)
        case IfChangedNode():
            return list(node._varlist)  # noqa: SLF001 - Django keeps it nowhere else
        case WidthRatioNode():
            return [node.val_expr, node.max_expr, node.max_width]
        case RegroupNode():
            return [node.target]  # its other expression names parts of the items
    return []


def _insides(node: Any) -> list[tuple[NodeList, Scope]]:
    """The blocks within a tag, each with the names that it sets for them."""
    match node:
        case IfNode():
            return [(inside, frozenset()) for _, inside in node.conditions_nodelists]
        case ForNode():
            return [(node.nodelist_loop, frozenset(node.loopvars)), (node.nodelist_empty, frozenset())]
        case WithNode():
            return [(node.nodelist, frozenset(node.extra_context))]
        case IfChangedNode():
            return [(node.nodelist_true, frozenset()), (node.nodelist_false, frozenset())]
    inside = getattr(node, "nodelist", None)
    return [] if inside is None else [(inside, frozenset())]


def _set_by(node: Any) -> Scope:
    """The names that a tag sets by `as`."""
    names = (getattr(node, attribute, None) for attribute in ("asvar", "variable_name", "var_name"))
    return frozenset(name for name in names if name)
