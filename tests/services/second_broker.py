"""A second Kafka broker beside the embedded one, in its cluster: for what takes two copies of a record."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

from confluent_kafka.admin import AdminClient

from deploy import jars, kafka, preflight
from streams.settings import Settings
from tests.services.ports import HOST, free_ports
from tests.services.until import until

TIMEOUT_S = 60


class SecondBroker:
    """Broker 2 of the cluster that `first` runs; no controller."""

    def __init__(self, first: Settings, folder: Path) -> None:
        self._first = first
        self._java = [str(preflight.java()), *kafka.JVM, "-cp", jars.classpath(Path(first.jars))]
        self._config = folder / "server.properties"
        self._log = folder / "log"
        self._config.write_text("".join(f"{name}={value}\n" for name, value in self._properties(folder / "data").items()))
        self._process: subprocess.Popen[bytes] | None = None
        self._run("kafka.tools.StorageTool", "format", "-t", self._cluster_id(), "-c", str(self._config))

    def start(self) -> Self:
        """Returns when the cluster counts it in."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*self._java, "kafka.Kafka", str(self._config)], stdout=log, stderr=log)
        self._until_brokers(2)
        return self

    def kill(self) -> None:
        """Returns when the cluster has noticed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._until_brokers(1)

    def _until_brokers(self, count: int) -> None:
        client = AdminClient({"bootstrap.servers": self._first.bootstrap, "log_level": 0})
        until(lambda: len(client.list_topics(timeout=5).brokers) == count, f"{count} brokers; see {self._log}", TIMEOUT_S)

    def _properties(self, data: Path) -> dict[str, str]:
        port = free_ports()
        placed = dict(line.split("=", 1) for line in kafka.properties(self._first.kafka_port, data).splitlines())
        own = {"listeners": f"CLIENT://{HOST}:{port}", "advertised.listeners": f"CLIENT://{HOST}:{port}"}
        return {**placed, **own, "process.roles": "broker", "node.id": "2"}

    def _cluster_id(self) -> str:
        properties = (self._first.var / "kafka" / "data" / "meta.properties").read_text().splitlines()
        return dict(line.split("=", 1) for line in properties if "=" in line)["cluster.id"]

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([*self._java, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
