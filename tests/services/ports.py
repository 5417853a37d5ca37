"""Ports for servers that the tests start: free on loopback when asked, and nobody else's meanwhile.

They lie below the range from which the kernel takes ports for clients, and each process of a test run hands out its own slice, none twice.
"""

from __future__ import annotations

import os
import re
import socket
from itertools import cycle

HOST = "127.0.0.1"
FIRST, SLICE, SLICES = 10_000, 2_000, 11  # up to 32,000; Linux's clients begin at 32,768


def _slice() -> range:
    """The ports of this process: by its number among pytest-xdist's workers, and by chance among runs."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
    run = int(os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid():x}")[:8], 16)
    first = FIRST + (run + worker) % SLICES * SLICE
    return range(first, first + SLICE)


_ports = cycle(_slice())


def free_ports(count: int = 1) -> int:
    """The first of `count` neighbouring free ports."""
    while True:
        first = next(_ports)
        if first + count > _slice().stop or not all(map(_is_free, range(first, first + count))):
            continue
        for _ in range(count - 1):
            next(_ports)
        return first


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True
