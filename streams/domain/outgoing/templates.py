"""Templates of subjects and bodies: compiled once a request, rendered once a recipient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.template import Engine, Template
from django.template.base import DebugLexer, NodeList, TokenType

from streams.domain.outgoing import template_library
from streams.domain.outgoing.template_data import DataContext, DataParser, Overrun
from streams.domain.outgoing.template_scan import Reference, TooDeep, references

MAX_OUTPUT = 1_000_000  # characters of one rendered body
MAX_FAULTS = 20  # of one template that its author is told at once
MAX_SCAN = 20_000_000  # characters that are looked through for the ends of tags that have none
BRACKETS = (("{%", "%}"), ("{{", "}}"), ("{#", "#}"))
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
CONTROL_BYTES = bytes(code for code in range(128) if CONTROLS.match(chr(code)))


class TemplateFault(ValueError):
    """The template cannot be used. Each of `texts` begins with line and column; `rest` is what could be read beside these faults."""

    def __init__(self, texts: Sequence[str], rest: Compiled | None) -> None:
        super().__init__("; ".join(texts))
        self.texts = tuple(texts)
        self.rest = rest


class RenderFault(ValueError):
    """One recipient's text cannot be made; the message says why."""


class DataTemplate(Template):  # type: ignore[misc]  # Django brings no types
    """Django's template, compiled with our parser, from tokens that know where they stand."""

    def compile_nodelist(self) -> NodeList:
        return DataParser(DebugLexer(self.source).tokenize(), {}, [template_library.register], self.origin).parse()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template that is ready to render. `references` are the variables that it reads, in order."""

    source: str
    template: DataTemplate
    references: tuple[Reference, ...]

    def position(self, reference: Reference) -> str:
        return _position(self.source, reference.offset)


def compile_template(source: str) -> Compiled:
    """Raises TemplateFault with each fault that stands by itself, up to MAX_FAULTS; a tag that does not end hides what comes behind it."""
    _refuse_endless(source)
    left, texts, ends = source, list[str](), set[str]()
    compiled: Compiled | None = None
    for _ in range(MAX_FAULTS):
        compiled, text, token = _read(source, left)
        name = _tag(token)
        if text and name not in ends:  # the end of a refused tag is no fault of its own
            texts.append(text)
        if token is None or name in template_library.register.tags:
            break
        ends.add(f"end{name}")
        left = left[: token.position[0]] + re.sub(r"[^\n]", " ", left[slice(*token.position)]) + left[token.position[1] :]
    if texts or compiled is None:
        raise TemplateFault(texts, compiled)
    return compiled


def _refuse_endless(source: str) -> None:
    """Refuse a line of beginnings without an end: Django looks for the end of each through the rest of the line. Raises TemplateFault."""
    for number, line in enumerate(source.split("\n"), 1):
        open_tags = sum(line.count(begin, line.rfind(end) + 1) for begin, end in BRACKETS)
        if open_tags * len(line) > MAX_SCAN:
            raise TemplateFault([f"line {number}, column 1: {open_tags} tags or variables do not end"], None)


def _read(source: str, left: str) -> tuple[Compiled | None, str, Any]:
    """What is left of a source, compiled; or its first fault, and the token that this is about if it is about one."""
    try:
        template = DataTemplate(left, engine=_engine())
        return Compiled(source, template, tuple(references(template.nodelist))), "", None
    except (TooDeep, RecursionError):
        return None, "line 1, column 1: tags or conditions stand within each other too deep", None
    except Exception as error:  # noqa: BLE001 - mostly TemplateSyntaxError; whatever it is, it is this template's alone
        token = getattr(error, "token", None)
        return None, f"{_position(source, token.position[0] if token else 0)}: {error}", token


def _tag(token: Any) -> str:
    """The name of the tag that a token is; empty for a variable, or no token."""
    return token.contents.partition(" ")[0] if token is not None and token.token_type is TokenType.BLOCK else ""


def render(compiled: Compiled, values: dict[str, Any], now: datetime, *, html: bool) -> tuple[str, set[str]]:
    """The text with LF line ends and no other controls, and the names that had no value. Raises RenderFault.

    Values are escaped where `html`, and plain otherwise; `{"html": ...}` is HTML as it is, or its text.
    """
    context = DataContext(values, now, html=html)
    try:
        context.template = compiled.template
        text = str(compiled.template.nodelist.render(context))
    except Overrun as error:
        raise RenderFault(str(error)) from error
    except Exception as error:  # filters raise anything on values of the wrong kind; it is this recipient's alone
        raise RenderFault(f"{type(error).__name__}: {error}"[:500]) from error
    if len(text) > MAX_OUTPUT:
        raise RenderFault(f"the text is {len(text)} characters long; {MAX_OUTPUT} are allowed")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _without_controls(text), context.gaps


def _without_controls(text: str) -> str:
    """Hardly any text has one, and looking for them in its bytes takes a quarter of the time."""
    written = text.encode(errors="surrogatepass")
    return text if len(written.translate(None, CONTROL_BYTES)) == len(written) else CONTROLS.sub("", text)


@cache
def _engine() -> Engine:
    """An engine that loads nothing. Django asks its settings for number formats and the like: the defaults, no more."""
    if not settings.configured:
        settings.configure(USE_I18N=False, USE_TZ=True, TIME_ZONE="UTC")
    return Engine(loaders=[], libraries={})


def _position(source: str, offset: int) -> str:
    before = source[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"
