"""Where the gateway listens, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.listen import close_sockets, described, open_sockets
from gateway.smtp_in_commands import Identity
from streams.errors import UserError
from streams.settings import Settings
from tests.services.gateway import Gateway
from tests.services.ports import HOST, free_ports

IDENTITY = Identity("gateway.test")


async def test_a_port_in_use_is_said_and_nothing_stays_open(gateway: Gateway, tmp_path: Path) -> None:
    free = free_ports()
    settings = replace(Settings(), smtp_port=free, lmtp_port=gateway.settings.smtp_port, lmtp_socket=str(tmp_path / "second"))
    with pytest.raises(UserError, match=r"cannot listen .* in use"):
        await open_sockets(settings, gateway.reception, IDENTITY)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, free)
    assert not (tmp_path / "second").exists()


async def test_a_socket_in_use_is_not_taken_away(gateway: Gateway) -> None:
    settings = replace(gateway.settings, smtp_port=0, lmtp_port=0)
    with pytest.raises(UserError, match=r"cannot listen .* in use"):
        await open_sockets(settings, gateway.reception, IDENTITY)
    assert await (await gateway.lmtp()).say("LHLO x")


async def test_a_socket_left_behind_is_replaced_and_open_to_all(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    settings = replace(gateway.settings, smtp_port=0, lmtp_port=0, lmtp_socket=str(path))
    servers = await open_sockets(settings, gateway.reception, IDENTITY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    close_sockets(servers)


@pytest.mark.parametrize("name", ["file", "absent/socket", "x" * 200])
async def test_a_place_that_can_be_no_socket_is_said(gateway: Gateway, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("somebody's")
    settings = replace(gateway.settings, smtp_port=0, lmtp_port=0, lmtp_socket=str(tmp_path / name))
    with pytest.raises(UserError, match="ESPMAIL_GATEWAY_HOST"):
        await open_sockets(settings, gateway.reception, IDENTITY)
    assert (tmp_path / "file").read_text() == "somebody's"


def test_the_doors_are_described() -> None:
    assert described(Settings(smtp_port=0, lmtp_socket="/run/x")) == "LMTP at 127.0.0.1:8024, LMTP at /run/x"
