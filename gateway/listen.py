"""The gateway's listening sockets: SMTP and LMTP on TCP, LMTP on a unix socket; all of them or none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.reception import Reception
from gateway.smtp_in import Session
from gateway.smtp_in_commands import Identity
from streams.errors import UserError
from streams.settings import Settings

BACKLOG = 1024  # a burst is answered 421, not left hanging in the kernel's queue
ANYBODY_HERE = 0o666  # as open as the port beside it: any user of this machine may hand in mail


async def open_sockets(settings: Settings, reception: Reception, identity: Identity) -> Sequence[asyncio.Server]:
    """Listen where the settings say (port 0 or an empty path: not there). Raises UserError, and opens none, if one cannot be."""
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []

    def session(*, lmtp: bool) -> Callable[[], Session]:
        return lambda: Session(reception, identity, loop, lmtp=lmtp)

    try:
        for port, lmtp in ((settings.smtp_port, False), (settings.lmtp_port, True)):
            if port:
                servers.append(await loop.create_server(session(lmtp=lmtp), settings.gateway_host, port, backlog=BACKLOG))
        if settings.lmtp_socket:
            servers.append(
                await loop.create_unix_server(session(lmtp=True), sock=_unix_socket(Path(settings.lmtp_socket)), backlog=BACKLOG)
            )
    except OSError as error:
        close_sockets(servers)
        what = f"the gateway cannot listen ({error.strerror or error})"
        raise UserError(f"{what}; choose others by ESPMAIL_GATEWAY_HOST, _SMTP_PORT, _LMTP_PORT or _LMTP_SOCKET") from None
    return servers


def close_sockets(servers: Sequence[asyncio.Server]) -> None:
    """No new clients. The file of the unix socket stays; the next start replaces it."""
    for server in servers:
        server.close()


def _unix_socket(path: Path) -> socket.socket:
    """Bound to `path`, in the place of a socket that nobody answers at any more. Raises OSError."""
    if path.is_socket() and not _answers(path):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(ANYBODY_HERE)
    except OSError:
        bound.close()
        raise
    return bound


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def described(settings: Settings) -> str:
    """Where the gateway listens, for people."""
    doors = [
        f"SMTP at {settings.gateway_host}:{settings.smtp_port}" if settings.smtp_port else "",
        f"LMTP at {settings.gateway_host}:{settings.lmtp_port}" if settings.lmtp_port else "",
        f"LMTP at {settings.lmtp_socket}" if settings.lmtp_socket else "",
    ]
    return ", ".join(filter(None, doors))
