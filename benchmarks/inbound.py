"""Inbound mail accepted durably, beside Postfix on the same machine in the same run.

`python -m benchmarks.inbound [MAILS]`, as root (Postfix's master wants it). `smtp-source` sends mails of 2,000 bytes to both, in turns,
from 16 clients at once and from 48 (Postfix takes 50 of one host by default), with a connection for each mail and on kept
connections. Postfix's 250 means written and synced to its queue; nothing is delivered from there. Ours means acknowledged by Kafka:
once as the embedded broker is configured (one copy, synced within a second), once with every write synced before it is acknowledged
(flush.messages=1). Beside each rate, which other work on the machine disturbs, stands the processor's time for a mail, which it
hardly does: ours with the broker's, Postfix's with its children's.
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from benchmarks.outgoing import wait_listening
from benchmarks.postfix import tools
from cli.publishing import publish
from deploy import sample
from deploy.broker import Broker
from deploy.demo import HOST, settings_for
from streams import admin, topics
from streams.events import SiteRow
from streams.publisher import Record
from streams.settings import Settings

VAR = Path("var")
SESSIONS = (16, 48)
BODY_BYTES = 2000
ROUNDS = 3
POSTFIX_PORT_AFTER_OURS = 7
WAYS = {"a connection a mail": (), "kept connections": ("-d",)}
RUN_S = 120
QUEUE_FOLDERS = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"
MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {folder}/conf
mail_owner = mail
setgid_group = games
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mta.test
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
in_flow_delay = 0
import_environment = LD_LIBRARY_PATH MAIL_CONFIG
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
"""


def main(mails: int) -> None:
    """Print mails a second of each, and ours as a multiple of Postfix's."""
    programs, environment = tools(VAR.resolve() / "bench")
    with tempfile.TemporaryDirectory(prefix="espmail-bench-") as folder:
        settings = settings_for(Settings(var=Path(folder), jars=str(VAR / "kafka" / "jars")))
        port = settings.smtp_port + POSTFIX_PORT_AFTER_OURS
        with (
            Broker(settings) as broker,
            postfix(programs, environment, Path(folder) / "postfix", port) as theirs,
            gateway(settings) as ours,
        ):
            sides = (Side(settings.smtp_port, (ours, broker.pid)), Side(port, (theirs,)))
            for durability, flush in (("synced within a second", "9223372036854775807"), ("synced before each 250", "1")):
                set_flush(settings, flush)
                print(durability)
                for (way, options), sessions in itertools.product(WAYS.items(), SESSIONS):
                    command = [programs / "smtp-source", *options, "-s", str(sessions)]
                    compare(f"{sessions} clients, {way}", command, environment, sides, mails)
            print(f"records on {topics.INBOUND_MAIL}: {count(settings):,}, for {mails * ROUNDS * len(WAYS) * len(SESSIONS) * 2:,} mails")


@dataclass(frozen=True)
class Side:
    """One of the two: where it listens, and which processes it is, with their children."""

    port: int
    pids: Sequence[int]

    def processor_s(self) -> float:
        """What its processes have used so far; those that ended count in their parents."""
        roots = [psutil.Process(pid) for pid in self.pids]
        times = [process.cpu_times() for root in roots for process in (root, *root.children(recursive=True))]
        return sum(used.user + used.system + used.children_user + used.children_system for used in times)


def compare(what: str, command: Sequence[str | Path], environment: dict[str, str], sides: tuple[Side, Side], mails: int) -> None:
    """Both in turns; medians."""
    rates: tuple[list[float], list[float]] = ([], [])
    costs: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for side, found, cost in zip(sides, rates, costs, strict=True):
            before = side.processor_s()
            found.append(rate(command, environment, side.port, mails))
            cost.append(1e6 * (side.processor_s() - before) / mails)
    ours, theirs = map(statistics.median, rates)
    our_cost, their_cost = map(statistics.median, costs)
    print(f"  {what}: espmail {ours:,.0f} mails/s, Postfix {theirs:,.0f}: {ours / theirs:.1f} times")
    print(f"      processor time a mail: espmail {our_cost:,.0f} us (broker included), Postfix {their_cost:,.0f} us", flush=True)


def rate(command: Sequence[str | Path], environment: dict[str, str], port: int, mails: int) -> float:
    load = ["-m", str(mails), "-l", str(BODY_BYTES), "-t", sample.LIST, f"{HOST}:{port}"]
    started = time.monotonic()
    subprocess.run([*command, *load], env=environment, check=True, timeout=RUN_S)
    return mails / (time.monotonic() - started)


@contextmanager
def gateway(settings: Settings) -> Iterator[int]:
    """`espmail gateway` for one site; its pid."""
    admin.apply(settings)
    site = SiteRow(sample.DOMAIN, "Bench", f"support@{sample.DOMAIN}", f"bounces@{sample.DOMAIN}", f"info@{sample.DOMAIN}", [])
    publish(settings, [Record.of(topics.SITES, site.domain, site)])
    process = subprocess.Popen([sys.executable, "-m", "cli.main", "gateway"], env={**os.environ, **settings.as_environment()})
    try:
        wait_listening(HOST, settings.smtp_port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def postfix(programs: Path, environment: dict[str, str], folder: Path, port: int) -> Iterator[int]:
    """Postfix as it comes, without the part that delivers; its master's pid."""
    for name in ("conf", "data", *(f"queue/{queue}" for queue in QUEUE_FOLDERS.split())):
        (folder / name).mkdir(parents=True)
        if name not in {"conf", "queue/pid"}:
            shutil.chown(folder / name, "mail")
    folder.parent.chmod(0o755)
    root = programs.parent.parent
    (folder / "conf" / "main.cf").write_text(MAIN_CF.format(folder=folder, root=root), encoding="utf-8")
    (folder / "conf" / "master.cf").write_text(MASTER_CF.format(port=port), encoding="utf-8")
    master = [str(root / "usr/lib/postfix/sbin/master"), "-c", str(folder / "conf"), "-d"]
    process = subprocess.Popen(master, env={**environment, "MAIL_CONFIG": str(folder / "conf")})
    try:
        wait_listening(HOST, port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def set_flush(settings: Settings, messages: str) -> None:
    """After how many records the broker syncs inbound-mail to its disk."""
    entry = ConfigEntry("flush.messages", messages, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topics.INBOUND_MAIL, incremental_configs=[entry])
    client = admin.connect(settings.bootstrap)
    for done in client.incremental_alter_configs([resource]).values():
        done.result()


def count(settings: Settings) -> int:
    """Records on inbound-mail."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "bench"})
    parts = [TopicPartition(topics.INBOUND_MAIL, number) for number in range(settings.partitions)]
    ends = [consumer.get_watermark_offsets(part, timeout=10) for part in parts]
    consumer.close()
    return sum(high - low for low, high in ends)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
