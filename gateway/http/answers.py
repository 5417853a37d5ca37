"""Answers: pages for people, JSON for programs, and constant words for whatever goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from streams.publisher import RecordTooLarge

PAGES = Path(__file__).parent.parent / "pages"
FOR_PROGRAMS = ("/v1/", "/webhooks/", "/healthz")

# Status -> (for programs, the page's title, what a person can do).
ERRORS: Mapping[int, tuple[str, str, str]] = {
    400: ("bad request", "This did not work", "Please go back and try again."),
    401: ("say Authorization: Bearer, with the token in web.token of the var folder", "Not allowed", "This address is for programs."),
    404: ("not found", "There is nothing here", "The link may be incomplete. Please copy all of it from the mail, or ask whoever sent it."),
    405: ("method not allowed", "This did not work", "Please go back and try again."),
    413: ("too large", "This did not work", "That was more than this page takes."),
    500: ("internal error", "Something is broken here", "Nothing was changed. Please try again later."),
    503: ("not now; nothing is lost, try again later", "Not right now", "This could not be saved. Please try again in a few minutes."),
}


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of gateway/pages; every value is escaped."""
    return HTMLResponse(_templates().get_template(name).render(values), status)


def stylesheet(_: Request) -> Response:
    """The style sheet of all pages."""
    return Response((PAGES / "style.css").read_bytes(), media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


def refused(request: Request, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The constant answer of this status. It repeats nothing that was asked and nothing that went wrong inside."""
    known = status if status in ERRORS else 400 if status < 500 else 500
    words, title, advice = ERRORS[known]
    if request.url.path.startswith(FOR_PROGRAMS):
        return JSONResponse({"error": words}, status, headers)
    answer = page("message.html", status, title=title, advice=advice)
    answer.headers.update(headers or {})
    return answer


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(request, error.status_code, error.headers)


async def on_publish_failed(request: Request, error: Exception) -> Response:
    """Kafka has not acknowledged: whoever asks must ask again, which is harmless."""
    return refused(request, 413 if isinstance(error, RecordTooLarge) else 503)


async def on_outage(request: Request, _: Exception) -> Response:
    return refused(request, 503)


async def on_bug(request: Request, _: Exception) -> Response:
    return refused(request, 500)
