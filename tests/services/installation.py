"""A whole espmail on the tests' broker: every part of it a process, as `espmail up` runs it, and commands as a person types them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import smtplib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import Engine

from cli import main
from deploy.stack import Stack, not_ready, ready_file, running
from deploy.supervisor import Child
from projections import offsets, queries
from projections.database import open_engine
from projections.feed import Feed
from streams import admin
from streams.domain.ids import inbound_id
from streams.domain.states import TERMINAL
from streams.reads import READS
from streams.settings import Settings
from tests.services.env import environment
from tests.services.ports import HOST, free_ports
from tests.services.until import T, until

Mails = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """What it said with --json."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Installation:
    """It runs, and its capture MTA keeps all mail in `maildirs`."""

    stack: Stack
    engine: Engine
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    @property
    def maildirs(self) -> Path:
        return self.folder / "maildirs"

    # -- as a person at the terminal ---------------------------------------------------------------------------------

    def espmail(self, *arguments: str, expect: int = 0) -> Answer:
        """Run a command in this process; it must end with this exit code."""
        return espmail(self.settings, *arguments, expect=expect)

    def write(self, document: Any) -> str:
        """The path of a file that holds this as JSON."""
        path = self.folder / f"{uuid.uuid4().hex}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return str(path)

    def load(self, directory: Mapping[str, Any]) -> None:
        """`espmail directory load`."""
        self.espmail("directory", "load", self.write(directory))

    def submit(self, document: Mapping[str, Any], expect: int = 0) -> Answer:
        """`espmail request submit`."""
        return self.espmail("request", "submit", self.write(document), expect=expect)

    def post(self, content: bytes, to: str, mail_from: str) -> str:
        """Hand in a mail by SMTP, as an MTA does: again while nobody listens or the answer is 451. Returns its inbound_id."""

        def taken() -> bool:
            try:
                with smtplib.SMTP(HOST, self.settings.smtp_port) as client:
                    client.sendmail(mail_from, [to], content)
            except ConnectionRefusedError:
                return False
            except smtplib.SMTPRecipientsRefused as error:
                assert error.recipients[to][0] == 451, error
                return False
            return True

        self.until(taken, "the gateway takes the mail")
        return inbound_id(mail_from, to, content)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def until(self, ask: Callable[[], T], what: str, deadline_s: float = 60.0) -> T:
        """As services.until, while what ended is started again."""

        def look() -> T:
            self.stack.look()
            return ask()

        return until(look, what, deadline_s)

    def finished(self, request_id: str, deadline_s: float = 60.0) -> queries.RequestStatus:
        """The request once each of its emails has ended: what was expanded must be the sum of all statuses (G5)."""
        status = self.in_state(request_id, {"finished", "no_recipients", "rejected"}, deadline_s)
        with self.engine.connect() as connection:
            counted = queries.counts(connection, request_id)
        assert status.request["expanded"] == sum(status.counts.values())
        assert dict(status.counts) == counted
        return status

    def in_state(self, request_id: str, states: set[str], deadline_s: float = 60.0) -> queries.RequestStatus:
        """The request once it is in one of these states."""

        def asked() -> queries.RequestStatus | None:
            status = self.request(request_id)
            return status if status and status.request["state"] in states else None

        status = self.until(asked, f"request {request_id} is {' or '.join(sorted(states))}", deadline_s)
        assert status is not None
        return status

    def decided(self, mail: str, deadline_s: float = 60.0) -> queries.Row:
        """The inbound mail once it is decided and each of its copies has ended."""

        def asked() -> queries.Row | None:
            row, copies = self.inbound(mail), self.copies(mail)
            ended = [copy for copy in copies if copy["status"] in TERMINAL]
            return row if row and row["decision"] and len(ended) == len(copies) == row["emails"] else None

        row = self.until(asked, f"inbound mail {mail} is decided and its copies have ended", deadline_s)
        assert row is not None
        return row

    # -- what the tables say, and the Maildirs --------------------------------------------------------------------------

    def request(self, request_id: str) -> queries.RequestStatus | None:
        with self.engine.connect() as connection:
            return queries.request_status(connection, request_id)

    def emails(self, request_id: str) -> list[queries.Row]:
        with self.engine.connect() as connection:
            return queries.emails_of_request(connection, request_id, most=1_000_000)

    def timeline(self, email_id: str) -> list[str]:
        """The names of what happened to an email."""
        with self.engine.connect() as connection:
            return [row["event"] for row in queries.email_timeline(connection, email_id)]

    def inbound(self, mail: str) -> queries.Row | None:
        with self.engine.connect() as connection:
            return queries.inbound(connection, mail)

    def copies(self, mail: str) -> list[queries.Row]:
        with self.engine.connect() as connection:
            return queries.emails_of_inbound(connection, mail, most=1_000_000)

    def kept(self, *holding: bytes) -> dict[str, list[bytes]]:
        """The mails that the capture MTA has, by recipient: those that hold all of these bytes."""
        found: dict[str, list[bytes]] = {}
        for folder in sorted(self.maildirs.glob("*/new")):
            mails = [path.read_bytes() for path in sorted(folder.iterdir())]
            if mails := [mail for mail in mails if all(part in mail for part in holding)]:
                found[folder.parent.name] = mails
        return found

    def tables_are_current(self) -> bool:
        """Whether everything that stands on the topics is in the tables."""
        feed = Feed(self.settings.bootstrap)
        with contextlib.closing(feed), self.engine.connect() as connection:
            extents = feed.extents()
            folded = offsets.checked(connection, extents)
        return all(folded[partition] >= extent.high for partition, extent in extents.items())

    # -- parts, stopped and killed -----------------------------------------------------------------------------------

    def child(self, name: str) -> Child:
        return next(child for child in self.stack.supervisor.children if child.name == name)

    def kill(self, name: str) -> None:
        """kill -9; the next look of `until` starts it again."""
        process = self.child(name).process
        assert process is not None
        ready_file(self.settings, name).unlink(missing_ok=True)
        process.kill()
        process.wait()

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Without this part, which is asked to end and started again afterwards. Nothing may look after the parts meanwhile."""
        process = self.child(name).process
        assert process is not None
        ready_file(self.settings, name).unlink(missing_ok=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        yield
        self.until(lambda: name not in not_ready(self.settings), f"{name} works again")

    def lag(self, agent: str) -> int:
        """How many records of its topics the agent has not acknowledged yet."""
        group = f"{self.settings.app}.{agent}"
        parts = [TopicPartition(topic, number) for topic in READS[agent] for number in range(self.settings.partitions)]
        consumer = Consumer({"bootstrap.servers": self.settings.bootstrap, "group.id": group})
        try:
            done = consumer.committed(parts, timeout=10)
            marks = [consumer.get_watermark_offsets(part, timeout=10) for part in parts]
        finally:
            consumer.close()
        return sum(high - max(part.offset, low) for part, (low, high) in zip(done, marks, strict=True))


def espmail(settings: Settings, *arguments: str, expect: int = 0) -> Answer:
    """Run a command in this process, with its output caught; it must end with this exit code."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "environ", environment(settings))
        code = main.run(arguments)
    answer = Answer(code, _text(out), _text(err))
    assert answer.code == expect, answer
    return answer


@contextlib.contextmanager
def installed(kafka: Settings, folder: Path, *, mta_port: int = 0, **changes: Any) -> Iterator[Installation]:
    """A new installation with empty topics; without an `mta_port` it has a capture MTA of its own."""
    captures = free_ports()
    chosen: dict[str, Any] = {
        "app": f"test-{uuid.uuid4().hex[:8]}",
        "var": folder / "var",
        "mta": f"{HOST}:{mta_port or captures}",
        "smtp_port": free_ports(),
        "lmtp_port": 0,
        "web_port": 0,
        "session_timeout": 6.0,  # a killed part's work goes on soon
        "backoff": 0.01,  # a retry waits a second, not minutes
    }
    settings = replace(kafka, **chosen | changes)
    own = Child("capture", ["deploy.capture", str(captures), str(folder / "maildirs")], folder / "var" / "log" / "capture.log")
    admin.delete(settings)
    engine = open_engine(settings.database_url)
    try:
        with running(settings, lambda _: None, [] if mta_port else [own]) as stack:
            yield Installation(stack, engine, folder)
    finally:
        engine.dispose()


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def bodies(mails: Mails) -> dict[str, list[bytes]]:
    """What stands behind the header of each mail; line ends as a Maildir has them."""
    return {recipient: [mail.partition(b"\n\n")[2] for mail in each] for recipient, each in mails.items()}


def counts(status: queries.RequestStatus) -> dict[str, int]:
    """The statuses that there are any emails in."""
    return {name: number for name, number in status.counts.items() if number}
