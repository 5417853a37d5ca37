"""The embedded broker: a real Apache Kafka as a child of this process, its data and its log in the var folder.

One process at a time runs it for a var folder (flock). A second start after kill -9 works: the child is tied to its
parent (tether.py), and one that is still there is ended first.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Self

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy import jars, kafka, preflight
from deploy.preflight import BrokerError
from streams.settings import Settings

START_S = 60.0
STOP_S = 20.0
LEADS_S = 5.0
POLL_S = 0.05
STARTED = b"Kafka Server started"
KILLED = "it was killed by kill -9, as a machine without memory does too; start it again"
TETHER = Path(__file__).with_name("tether.py")


class Broker:
    """`start()` it, or use it in a `with`; a stopped one may be started again."""

    def __init__(self, settings: Settings) -> None:
        self._port = settings.kafka_port
        self._fsync = bool(settings.kafka_fsync)
        self._folder = settings.var / "kafka"
        self._jars = Path(settings.jars) if settings.jars else self._folder / "jars"
        self._locks = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What Kafka says, warnings and worse; that of the run before is log.previous."""
        return self._folder / "log"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def pid(self) -> int:
        """Raises BrokerError if it is not started."""
        if self._process is None:
            raise BrokerError("the broker is not running; start it first")
        return self._process.pid

    def start(self) -> Self:
        """Returns when it answers clients. Raises BrokerError or JarsError, and then leaves nothing running.

        Blocks: about three seconds, ten more when the jars are fetched. Call it from a thread that outlives the broker.
        """
        try:
            self._start()
        except OSError as error:
            self.kill()
            raise BrokerError(
                f"cannot write in {self._folder} ({error.strerror}); free some space, mend its owner, or set ESPMAIL_VAR"
            ) from None
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Ask it to end and wait for that; kill it if it takes longer than STOP_S. May be repeated."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self.kill()

    def kill(self) -> None:
        """End it as a crash would. May be repeated."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._locks.close()

    def why_ended(self) -> str | None:
        """None while it runs; otherwise one line that says what became of it."""
        code = self._process.poll() if self._process else None
        if code is None:
            return None
        why = KILLED if code == -signal.SIGKILL else preflight.cause(self.log)
        return f"the broker ended: {why} (its log is {self.log})"

    def check(self) -> None:
        """Raises BrokerError if it has ended by itself."""
        if ended := self.why_ended():
            raise BrokerError(ended)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        preflight.make_folder(self._folder)
        self._locks.enter_context(preflight.owner_lock(self._folder))
        lock = self._locks.enter_context(preflight.broker_lock(self._folder))
        for port in (self._port, self._port + 1):
            preflight.check_port(port)
        java = [str(preflight.java()), *kafka.JVM, "-cp", jars.classpath(self._jars)]
        if not self._data.exists():
            self._format(java)
        self._spawn(java, lock)
        self._wait_until_it_answers()

    def _format(self, java: list[str]) -> None:
        """A fresh store, made beside its place and moved there whole: a crash in between leaves none."""
        store = self._folder / "data.new"
        shutil.rmtree(store, ignore_errors=True)
        command = [*java, "kafka.tools.StorageTool", "format", "-t", kafka.new_cluster_id(), "-c", self._config(store)]
        with self.log.open("wb") as log:
            failed = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        if failed:
            raise BrokerError(f"the broker's storage cannot be made: {preflight.cause(self.log)} (its log is {self.log})")
        store.rename(self._data)

    def _spawn(self, java: list[str], lock: IO[str]) -> None:
        with suppress(FileNotFoundError):
            self.log.replace(self._folder / "log.previous")
        command = [sys.executable, "-IS", str(TETHER), str(os.getpid()), *java, "kafka.Kafka", self._config(self._data)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # a Ctrl-C is for this process, which stops the broker last
            )
        lock.truncate(0)
        print(self._process.pid, file=lock, flush=True)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        bootstrap = f"{kafka.HOST}:{self._port}"
        # It answers a moment before the cluster counts it in, and says that it has started a moment before it leads.
        while not (STARTED in self.log.read_bytes() and answers(bootstrap) and _leads(bootstrap)):
            self.check()
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker does not answer after {START_S:.0f} s; see its log, {self.log}")
            time.sleep(POLL_S)

    def _config(self, data: Path) -> str:
        path = self._folder / "server.properties"
        path.write_text(kafka.properties(self._port, data, fsync=self._fsync), encoding="utf-8")
        return str(path)


def answers(bootstrap: str, timeout_s: float = 2.0) -> bool:
    """True if a Kafka broker answers there. Blocks for at most `timeout_s`, twice."""
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout_s).close()
        return bool(AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=timeout_s).brokers)
    except (OSError, KafkaException):
        return False


def _leads(bootstrap: str) -> bool:
    """True if it serves each partition that only it has. Metadata may still tell of before a crash; asking for the end does not."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the one untyped corner of a typed library
    try:
        topics = client.list_topics(timeout=LEADS_S).topics.items()
        own = [TopicPartition(name, p.id) for name, topic in topics for p in topic.partitions.values() if p.replicas == [kafka.NODE]]
        return all(end.result() for end in client.list_offsets(dict.fromkeys(own, latest), request_timeout=LEADS_S).values())
    except KafkaException:
        return False
