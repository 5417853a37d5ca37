"""How the embedded broker is configured: one KRaft node on loopback, sized for one chapter's mail on one machine."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path

HOST = "127.0.0.1"
NODE = 1

# What does not depend on the installation; a reason a line.
FIXED = {
    "process.roles": "broker,controller",
    "node.id": str(NODE),
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "controller.listener.names": "CONTROLLER",
    "broker.session.timeout.ms": "3000",  # 9 s by default: how long a start after kill -9 waits for the dead one's registration
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",  # topics come from schemas/topics.yaml alone
    "unclean.leader.election.enable": "false",  # a copy that lags is never the truth
    "message.max.bytes": "10485760",  # above the largest of topics.yaml; each topic has its own limit
    "offsets.retention.minutes": "525600",  # a worker back after a long holiday must not start over and mail everybody again
    "log.flush.interval.ms": "1000",  # kill -9 loses nothing; without ESPMAIL_KAFKA_FSYNC, a power cut loses up to this much
    "group.initial.rebalance.delay.ms": "0",  # one or two workers: nobody else to wait for
    "group.min.session.timeout.ms": "1000",  # lets tests take over from a killed worker quickly
    "offsets.topic.num.partitions": "4",  # 50 by default, each with files of its own
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "log.segment.bytes": "268435456",
    "log.index.size.max.bytes": "1048576",  # allocated per segment while it is written; enough for 256 MB of records
    "log.cleaner.dedupe.buffer.size": "16777216",  # 128 MB by default, a quarter of the heap
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
}

JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",  # small heap, few cores
    "-XX:TieredStopAtLevel=1",  # starts a second sooner, and leaves the second compiler's CPU to the workers
    "-XX:+ExitOnOutOfMemoryError",  # a broker that limps is worse than one that restarts
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.utils.AppInfoParser=error",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)


def properties(port: int, data: Path, *, fsync: bool = False) -> str:
    """The text of server.properties for a broker on `port` of loopback; its controller takes the next port."""
    placed = {
        "listeners": f"CLIENT://{HOST}:{port},CONTROLLER://{HOST}:{port + 1}",
        "advertised.listeners": f"CLIENT://{HOST}:{port}",
        "controller.quorum.voters": f"{NODE}@{HOST}:{port + 1}",
        "log.dirs": str(data.resolve()),
        **({"log.flush.interval.messages": "1"} if fsync else {}),
    }
    return "".join(f"{name}={value}\n" for name, value in {**placed, **FIXED}.items())


def new_cluster_id() -> str:
    """A Kafka Uuid: 16 random bytes, URL-safe base64 without padding, never starting with a dash (it would read as an option)."""
    text = "-"
    while text.startswith("-"):
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text
