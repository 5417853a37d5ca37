"""Ports for servers that the tests start: free on loopback when asked."""

from __future__ import annotations

import socket
from contextlib import ExitStack

HOST = "127.0.0.1"


def free_ports(count: int = 1) -> int:
    """The first of `count` neighbouring free ports. Another process might take one before the caller does."""
    while True:
        with ExitStack() as bound:
            first = bound.enter_context(socket.create_server((HOST, 0))).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    bound.enter_context(socket.create_server((HOST, port)))
            except (OSError, OverflowError):
                continue
            return int(first)
