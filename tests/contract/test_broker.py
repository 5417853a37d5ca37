"""The embedded broker, the real one: it starts, keeps what it acknowledged, and says in one line why it cannot start."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import ConfigResource, ResourceType

from deploy.broker import Broker, answers
from deploy.preflight import BrokerError
from streams import admin
from streams.settings import Settings
from tests.conftest import JARS, ROOT
from tests.services.env import environment
from tests.services.freezing import freeze
from tests.services.ports import HOST, free_ports
from tests.services.records import produce, read
from tests.services.until import until

pytestmark = pytest.mark.broker
TOPIC = "dead-letters"  # one partition


def settings_in(folder: Path) -> Settings:
    return Settings(var=folder, jars=str(JARS), kafka_port=free_ports(2))


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """Settings of a broker that only this test uses."""
    return settings_in(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the broker that the tests of this module share: each leaves it running."""
    return settings_in(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def broker(shared: Settings) -> Iterator[Broker]:
    with Broker(shared) as started:
        admin.apply(shared)
        yield started


def espmail(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_answers_and_its_log_says_so(shared: Settings, broker: Broker) -> None:
    assert answers(shared.bootstrap)
    assert "Kafka Server started" in broker.log.read_text()
    assert broker.why_ended() is None


def test_stopped_it_is_gone_and_may_be_started_again(shared: Settings, broker: Broker) -> None:
    pid = broker.pid
    broker.stop()
    assert not alive(pid)
    assert not answers(shared.bootstrap)
    broker.start()
    assert answers(shared.bootstrap)


def test_k01_what_it_acknowledged_survives_kill_9(shared: Settings, broker: Broker) -> None:
    acknowledged: list[bytes] = []
    for turn in range(2):
        acknowledged += produce(shared.bootstrap, TOPIC, [f"{turn}-{n}".encode() for n in range(500)])
        broker.kill()
        broker.start()
    assert len(acknowledged) == 1000
    assert [record.value() for record in read(shared.bootstrap, TOPIC)] == acknowledged


def test_the_store_stays_when_the_port_changes(own: Settings) -> None:
    moved = replace(own, kafka_port=free_ports(2))
    with Broker(own):
        admin.apply(own)
        produce(own.bootstrap, TOPIC, [b"kept"])
    with Broker(moved):
        assert [record.value() for record in read(moved.bootstrap, TOPIC)] == [b"kept"]


def test_k02_with_fsync_every_batch_is_on_the_disk_before_it_is_acknowledged(own: Settings) -> None:
    with Broker(replace(own, kafka_fsync=1)):
        admin.apply(own)
        resource, client = ConfigResource(ResourceType.TOPIC, TOPIC), admin.connect(own.bootstrap)
        described = client.describe_configs([resource])[resource].result()
        assert described["flush.messages"].value == "1"
        assert produce(own.bootstrap, TOPIC, [b"durable"]) == [b"durable"]


def test_a_format_cut_short_is_done_again(own: Settings) -> None:
    half = own.var / "kafka" / "data.new"
    half.mkdir(parents=True)
    (half / "meta.properties").write_text("version=")
    with Broker(own):
        assert answers(own.bootstrap)


def test_it_ends_with_its_owner_and_a_second_run_works(own: Settings) -> None:
    owner = espmail(own, "kafka")
    assert owner.stdout is not None
    assert "Kafka answers" in owner.stdout.readline()
    pid = int((own.var / "kafka" / "broker.lock").read_text())
    owner.kill()
    owner.communicate()
    with Broker(own):
        assert not alive(pid)
        assert answers(own.bootstrap)


def test_a_broker_that_outlives_its_owner_is_ended_by_the_next(own: Settings) -> None:
    owner = espmail(own, "kafka")
    assert owner.stdout is not None
    owner.stdout.readline()
    pid = int((own.var / "kafka" / "broker.lock").read_text())
    freeze(pid)  # it cannot obey the signal that comes with its owner's death
    owner.kill()
    owner.communicate()
    assert alive(pid)
    with Broker(own):
        assert not alive(pid)
        assert answers(own.bootstrap)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_cleanly(own: Settings, number: signal.Signals) -> None:
    run = espmail(own, "kafka")
    assert run.stdout is not None
    assert own.bootstrap in run.stdout.readline()
    run.send_signal(number)
    _, errors = run.communicate(timeout=30)
    assert (run.returncode, errors) == (0, "")
    assert not answers(own.bootstrap)


def test_the_command_says_when_its_broker_dies(own: Settings) -> None:
    run = espmail(own, "kafka")
    assert run.stdout is not None
    run.stdout.readline()
    os.kill(int((own.var / "kafka" / "broker.lock").read_text()), signal.SIGKILL)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 1
    assert re.fullmatch(r"espmail: the broker ended: it was killed by kill -9.*\n", errors)


def test_one_folder_has_one_broker(shared: Settings, broker: Broker) -> None:
    with pytest.raises(BrokerError, match="another espmail runs the broker"):
        Broker(replace(shared, kafka_port=free_ports(2))).start()
    assert broker.why_ended() is None


@pytest.mark.parametrize("which", [0, 1], ids=["broker", "controller"])
def test_a_port_in_use_is_named_and_nothing_stays_behind(own: Settings, which: int) -> None:
    with (
        socket.create_server((HOST, own.kafka_port + which)),
        pytest.raises(BrokerError, match=f"port {own.kafka_port + which} .*ESPMAIL_KAFKA_PORT"),
    ):
        Broker(own).start()
    with Broker(own):
        assert answers(own.bootstrap)


def test_a_folder_that_cannot_be_written_is_one_line(own: Settings) -> None:
    (own.var / "kafka" / "owner.lock").mkdir(parents=True)
    with pytest.raises(BrokerError, match=r"cannot write in .* \(Is a directory\); free some space"):
        Broker(own).start()


def test_k04_a_full_disk_ends_it_and_loses_nothing_acknowledged(shared: Settings, broker: Broker) -> None:
    acknowledged = produce(shared.bootstrap, TOPIC, [b"before"])
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    values = [bytes([n]) + os.urandom(100_000) for n in range(50)]
    acknowledged += produce(shared.bootstrap, TOPIC, values, timeout_s=5.0)
    assert len(acknowledged) < 50
    reason = until(broker.why_ended, "the broker notices that it cannot write")
    assert "a limit on file sizes is reached" in str(reason)
    broker.kill()
    broker.start()
    kept = [record.value() for record in read(shared.bootstrap, TOPIC)]
    assert [value for value in acknowledged if value not in kept] == []


def test_a_disk_full_from_the_start_is_one_line(own: Settings) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); import cli.main; cli.main.main()"
    run = subprocess.run(
        [sys.executable, "-c", limited, "kafka"], cwd=ROOT, env=environment(own), capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert re.fullmatch(r"espmail: [^\n]*limit on file sizes[^\n]*\n", run.stderr)
