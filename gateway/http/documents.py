"""JSON as strangers send it, read strictly: what two readers could understand differently is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from starlette.requests import Request

T = TypeVar("T")


class BadDocument(ValueError):
    """This is no JSON document that can be relied on; the message says why, for its author."""


async def worked_out(request: Request, work: Callable[[Any], T]) -> T:
    """What `work` makes of the request's JSON document, off the event loop. Raises BadDocument, and what `work` raises."""
    body = await request.body()
    return await asyncio.to_thread(lambda: work(read_json(body)))


def read_json(body: bytes) -> Any:
    """The value in `body`. Raises BadDocument."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except BadDocument:
        raise
    except RecursionError:
        raise BadDocument("the document is nested too deep") from None
    except ValueError as error:  # also bytes that are no UTF-8
        raise BadDocument(f"this is no JSON document: {error}"[:300]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadDocument(f"{name[:100]!r} is there twice in one object")
        found[name] = value
    return found


def _constant(name: str) -> NoReturn:
    raise BadDocument(f"{name} is no JSON")
