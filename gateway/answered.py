"""What an HTTP server answered to us: all of it, up to a limit."""

from __future__ import annotations

import aiohttp


async def body_of(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, or its first `most` bytes. (`content.read(most)` would return as soon as anything came.) Raises aiohttp.ClientError or TimeoutError."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) >= most:
            break
    return bytes(body[:most])
