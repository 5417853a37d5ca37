"""What the demo does once everything runs: load, submit, post, watch, and count."""

from __future__ import annotations

import smtplib
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Engine

from cli.publishing import publish
from deploy import capture, sample
from deploy.stack import Stack
from deploy.supervisor import Child
from projections import queries
from projections.database import open_engine
from streams.domain.ids import inbound_id
from streams.domain.routing.document import read_document, rows
from streams.domain.states import TERMINAL
from streams.errors import UserError
from streams.publisher import Record
from streams.settings import Settings
from streams.submission import policy_of, submission

PATIENCE_S = 120.0
POLL_S = 0.1
SHOWN = 12
HOST = "127.0.0.1"


def settings_for(given: Settings) -> Settings:
    """The demo's own folder, ports that are free, and the capture MTA; the broker's jars are shared with the installation."""
    kafka, mta, smtp = _free_ports()
    return replace(
        given,
        app=f"{given.app}-demo",
        var=given.var / "demo",
        jars=given.jars or str(given.var / "kafka" / "jars"),
        kafka_port=kafka,
        mta=f"{HOST}:{mta}",
        smtp_port=smtp,
        lmtp_port=0,
        web_port=0,
        database="",
        bodies="",
        metrics_port=0,
    )


def maildir_for(settings: Settings, began: datetime) -> Path:
    """The folder of a run's Maildirs: one a run, so that its counts are its own."""
    return settings.var / "maildir" / began.strftime("%Y%m%d-%H%M%S")


def capture_child(settings: Settings, folder: Path) -> Child:
    """The capture MTA as a process of the demo."""
    port = settings.mta_endpoints[0][1]
    return Child("capture", ["deploy.capture", str(port), str(folder)], settings.var / "log" / "capture.log")


class Demo:
    """One run: its request has an id of its own, so that counts are of this run alone."""

    def __init__(self, stack: Stack, began: datetime) -> None:
        self._stack = stack
        self._settings = stack.settings
        self._began = began
        self._maildir = maildir_for(stack.settings, began)
        self._request_id = f"demo-{self._maildir.name}"
        self._console = Console()
        self._mail = sample.class_mail(self._began)
        self._inbound_id = inbound_id(sample.TEACHER, sample.LIST, self._mail)

    def run(self) -> list[str]:
        """Do it all and show it; returns what does not add up."""
        self._load()
        started = time.monotonic()
        self._submit()
        self._post()
        engine = open_engine(self._settings.database_url)
        try:
            self._watch(engine)
            self._console.print(f"done in {time.monotonic() - started:.1f} s")
            return self._report(engine)
        finally:
            engine.dispose()

    def _load(self) -> None:
        found = read_document(sample.directory())
        publish(self._settings, [Record.of(topic, key, row) for topic, key, row in rows(found, self._began)])
        self._console.print(f"loaded {len(found.people)} people and one class")

    def _submit(self) -> None:
        records = submission(sample.request(self._request_id, self._began), self._began, policy_of(self._settings)).records
        publish(self._settings, records)
        self._console.print(f"submitted request {self._request_id} to {sample.STUDENTS} people and their guardians")

    def _post(self) -> None:
        """The class mail, as an MTA would hand it in; the gateway may not know the new site yet and then says 451."""

        def offer() -> bool:
            with smtplib.SMTP(HOST, self._settings.smtp_port) as client:
                try:
                    client.sendmail(sample.TEACHER, [sample.LIST], self._mail)
                except smtplib.SMTPRecipientsRefused:
                    return False
            return True

        _until(offer, self._stack)
        self._console.print(f"posted a mail to {sample.LIST} by SMTP; the gateway answered 250")

    def _watch(self, engine: Engine) -> None:
        columns = TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=self._console) as progress:
            out, back = progress.add_task("request", total=None), progress.add_task("class list", total=None)

            def look() -> bool:
                with engine.connect() as connection:
                    status = queries.request_status(connection, self._request_id)
                    copies = self._copies(connection)
                expanded = status.request["expanded"] if status else 0
                settled = sum(status.counts[state] for state in TERMINAL) if status else 0
                progress.update(out, completed=settled, total=expanded or None)
                delivered = sum(copy["status"] in TERMINAL for copy in copies)
                progress.update(back, completed=delivered, total=len(copies) or None)
                return bool(expanded and settled == expanded and copies and delivered == len(copies))

            _until(look, self._stack)

    def _copies(self, connection: Any) -> list[queries.Row]:
        mail = queries.inbound(connection, self._inbound_id)
        copies = queries.emails_of_inbound(connection, self._inbound_id)
        return copies if mail and mail["decision"] else []

    def _report(self, engine: Engine) -> list[str]:
        with engine.connect() as connection:
            status = queries.request_status(connection, self._request_id)
            emails = queries.emails_of_request(connection, self._request_id, most=10_000)
            copies = self._copies(connection)
        if status is None:
            return [f"nothing is known of request {self._request_id}"]
        self._console.print(_table(f"request {self._request_id}", emails))
        self._console.print(_table(f"mail to {sample.LIST}", copies))
        self._console.print("by status: " + ", ".join(f"{count} {name}" for name, count in status.counts.items() if count))
        for line in (
            f"all of them: ESPMAIL_VAR={self._settings.var} {sys.argv[0]} request status {self._request_id} --emails",
            f"every mail as the MTA took it: {self._maildir}",
        ):
            self._console.print(line, soft_wrap=True)
        return self._problems(status, emails, copies)

    def _problems(self, status: queries.RequestStatus, emails: list[Any], copies: list[Any]) -> list[str]:
        """What does not add up: the request's counts, its rows, and the Maildirs."""
        problems = []
        expanded, counted = status.request["expanded"], sum(status.counts.values())
        if not expanded == counted == len(emails):
            problems.append(f"{expanded} recipients were announced, {counted} are counted, {len(emails)} are listed")
        kept = capture.kept(self._maildir)  # also what an earlier run left unsent
        sent = [(row["recipient"], row["message_id"]) for row in [*emails, *copies] if row["status"] == "sent"]
        if wrong := sorted(recipient for recipient, message_id in sent if kept[recipient, message_id] != 1):
            problems.append(f"{len(wrong)} recipients do not have their mail exactly once: {', '.join(wrong[:5])}")
        others = Counter(row["status"] for row in [*emails, *copies] if row["status"] not in ("sent", "skipped"))
        problems += [f"{count} mails are {name}" for name, count in others.items()]
        return problems


def _table(title: str, emails: list[Any]) -> Table:
    """What each recipient got, the first of them in full; those who got nothing come first."""
    table = Table(title=f"{title}: {len(emails)} recipients", title_justify="left", box=None, pad_edge=False)
    for column, width in (("recipient", 27), ("status", 8), ("reason", 8), ("tries", 5), ("subject", 12)):
        table.add_column(column, no_wrap=True, min_width=width)
    for row in sorted(emails, key=lambda row: row["status"] == "sent")[:SHOWN]:
        table.add_row(row["recipient"] or row["send_to"], row["status"], row["reason"] or "", str(row["attempts"]), row["subject"] or "")
    if len(emails) > SHOWN:
        table.add_row(f"... and {len(emails) - SHOWN} more")
    return table


def _until(done: Callable[[], bool], stack: Stack) -> None:
    """Blocks until `done` says so, while what ends is started again. Raises UserError after PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while not done():
        stack.look()
        if time.monotonic() > until:
            raise UserError(f"not done within {PATIENCE_S:g} s; what each part says stands in {stack.settings.var / 'log'}")
        time.sleep(POLL_S)


def _free_ports() -> tuple[int, int, int]:
    """The broker's (the one above it is free too), the MTA's and the gateway's."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third, socket.socket() as above:
            for one in (first, second, third):
                one.bind((HOST, 0))
            kafka, mta, smtp = (one.getsockname()[1] for one in (first, second, third))
            try:
                above.bind((HOST, kafka + 1))
            except OSError:
                continue
            return kafka, mta, smtp
