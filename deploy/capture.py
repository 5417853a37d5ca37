"""A capture MTA for demos and trials: takes any mail on loopback and keeps it in a Maildir per recipient. Delivers nothing.

`python -m deploy.capture PORT FOLDER`
"""

from __future__ import annotations

import asyncio
import mailbox
import re
import signal
import sys
from collections import Counter
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
MESSAGE_ID = re.compile(rb"^Message-ID: (<[!-~]+>)$", re.MULTILINE)  # as the sender writes it
UNSAFE = re.compile(r"[^A-Za-z0-9@._+-]")


class Capture:
    """An aiosmtpd handler that keeps each mail as it came, byte for byte, once per envelope recipient."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        for recipient in envelope.rcpt_tos:
            # Line ends as a Maildir has them; nothing else is touched.
            content = (envelope.original_content or b"").replace(b"\r\n", b"\n")
            maildir(self._folder, recipient).add(content)
        return "250 2.0.0 kept"


def maildir(folder: Path, recipient: str) -> mailbox.Maildir:
    """The Maildir of one recipient, made if it is not there."""
    return mailbox.Maildir(folder / UNSAFE.sub("_", recipient.lower()), create=True)


def kept(folder: Path) -> Counter[tuple[str, str]]:
    """How many copies there are of each mail, by recipient and Message-ID."""
    found = ((path.parent.parent.name, MESSAGE_ID.search(path.read_bytes())) for path in folder.glob("*/new/*"))
    return Counter((recipient, match[1].decode()) for recipient, match in found if match)


async def serve(port: int, folder: Path) -> None:
    """Until SIGTERM or Ctrl-C. Raises OSError if the port is taken."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    handler = Capture(folder)
    server = await loop.create_server(lambda: SMTP(handler, hostname="capture.localhost", data_size_limit=None), HOST, port)
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    kept_in = Path(sys.argv[2])
    kept_in.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(int(sys.argv[1]), kept_in))
