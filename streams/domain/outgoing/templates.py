"""Templates of subjects and bodies: compiled once a request, rendered once a recipient."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.template import Engine, Template
from django.template.base import DebugLexer, NodeList

from streams.domain.outgoing import template_library
from streams.domain.outgoing.template_data import DataContext, DataParser, Overrun
from streams.domain.outgoing.template_scan import Reference, TooDeep, references

MAX_OUTPUT = 1_000_000  # characters of one rendered body
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
CONTROL_BYTES = bytes(code for code in range(128) if CONTROLS.match(chr(code)))


class TemplateFault(ValueError):
    """The template cannot be used; the text begins with line and column."""


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
    """Raises TemplateFault."""
    try:
        template = DataTemplate(source, engine=_engine())
        return Compiled(source, template, tuple(references(template.nodelist)))
    except (TooDeep, RecursionError):
        raise TemplateFault("line 1, column 1: tags or conditions stand within each other too deep") from None
    except Exception as error:  # noqa: BLE001 - mostly TemplateSyntaxError; whatever it is, it is this template's alone
        token = getattr(error, "token", None)
        raise TemplateFault(f"{_position(source, token.position[0] if token else 0)}: {error}") from None


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
