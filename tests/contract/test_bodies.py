"""The body store's contract, on files and on an S3 server: what was put is what is got, or an error says why not."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from gateway import durable_files
from gateway.bodies import BodiesFull, BodyDamaged, BodyError, BodyMissing, BodyStore, claim_for
from gateway.bodies_files import FileBodies
from gateway.bodies_s3 import S3Bodies
from gateway.body_store import open_bodies
from streams.settings import Settings, SettingsError

BUCKET = "bodies"
MAIL = b"From: ann@x.org\r\n\r\n" + b"\x00\xff.\r\n" * 30_000


@dataclass(frozen=True)
class Store:
    """A body store, and a way to reach behind it."""

    bodies: BodyStore
    overwrite: Callable[[str, bytes], None]
    remove: Callable[[str], None]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys)
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()
    server.stop()


def files_store(folder: Path) -> Store:
    return Store(FileBodies(folder), lambda key, data: void((folder / key).write_bytes(data)), lambda key: (folder / key).unlink())


def s3_store(client: Any) -> Store:
    return Store(
        S3Bodies(client, BUCKET, "mail/in/"),
        lambda key, data: void(client.put_object(Bucket=BUCKET, Key=f"mail/in/{key}", Body=data)),
        lambda key: void(client.delete_object(Bucket=BUCKET, Key=f"mail/in/{key}")),
    )


def void(_: object) -> None:
    return None


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return files_store(tmp_path / "bodies") if request.param == "files" else s3_store(request.getfixturevalue("s3"))


@pytest.mark.parametrize("data", [b"", b"x", MAIL, b"\r\n" * 1_000_000], ids=["empty", "byte", "mail", "2 MB"])
def test_what_was_put_is_got(store: Store, data: bytes) -> None:
    claim = store.bodies.put(data)
    assert store.bodies.get(claim) == data
    assert claim == claim_for(data)
    assert claim.sha256 == hashlib.sha256(data).hexdigest()
    assert claim.size == len(data)


def test_a_put_may_be_repeated(store: Store) -> None:
    assert store.bodies.put(MAIL) == store.bodies.put(MAIL)
    assert store.bodies.get(claim_for(MAIL)) == MAIL


def test_many_may_put_at_once(store: Store) -> None:
    bodies = [MAIL, MAIL, MAIL, *(b"%d" % number for number in range(20))]
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(store.bodies.put, bodies))
    assert [store.bodies.get(claim) for claim in claims] == bodies


def test_nothing_under_the_key_is_missing(store: Store) -> None:
    with pytest.raises(BodyMissing, match=claim_for(b"never put").key):
        store.bodies.get(claim_for(b"never put"))


def test_a_removed_body_is_missing(store: Store) -> None:
    claim = store.bodies.put(b"soon gone")
    store.remove(claim.key)
    with pytest.raises(BodyMissing):
        store.bodies.get(claim)


@pytest.mark.parametrize("found", [b"", MAIL[:-1], b"Z" + MAIL[1:], MAIL + b"x"], ids=["empty", "truncated", "swapped", "longer"])
def test_other_bytes_under_the_key_are_damage(store: Store, found: bytes) -> None:
    claim = store.bodies.put(MAIL)
    store.overwrite(claim.key, found)
    with pytest.raises(BodyDamaged):
        store.bodies.get(claim)


def test_another_put_mends_damage(store: Store) -> None:
    claim = store.bodies.put(MAIL)
    store.overwrite(claim.key, b"damaged")
    store.bodies.put(MAIL)
    assert store.bodies.get(claim) == MAIL


@pytest.mark.parametrize("key", ["../../etc/passwd", "", "sha256/ab/../../x", "/etc/passwd", "sha256/" + "a" * 64])
def test_a_key_is_never_a_path(store: Store, key: str) -> None:
    with pytest.raises(BodyMissing, match="is no key"):
        store.bodies.get(replace(claim_for(MAIL), key=key))


def test_what_is_kept_is_listed_and_removed_unless_it_is_younger(store: Store) -> None:
    claim = store.bodies.put(b"to be swept")
    (found,) = [kept for kept in store.bodies.kept() if kept.key == claim.key]
    assert found.size == claim.size
    assert not store.bodies.remove(claim.key, found.at)
    assert store.bodies.get(claim) == b"to be swept"
    assert store.bodies.remove(claim.key, found.at + timedelta(seconds=1))
    assert not store.bodies.remove(claim.key, found.at + timedelta(seconds=1))
    assert claim.key not in {kept.key for kept in store.bodies.kept()}
    with pytest.raises(BodyMissing):
        store.bodies.get(claim)


def test_a_body_put_again_is_young_again(tmp_path: Path) -> None:
    bodies = FileBodies(tmp_path)
    claim = bodies.put(MAIL)
    os.utime(tmp_path / claim.key, (0, 0))
    (old,) = bodies.kept()
    assert bodies.put(MAIL) == claim
    assert not bodies.remove(claim.key, old.at + timedelta(days=1))
    assert bodies.get(claim) == MAIL


def test_a_put_between_the_look_and_the_removal_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unlocked put would end while the removal still looks at the old file, and then be removed in its place."""
    bodies = FileBodies(tmp_path)
    claim = bodies.put(MAIL)
    os.utime(tmp_path / claim.key, (0, 0))
    look = durable_files.written_at
    with ThreadPoolExecutor(1) as pool:
        puts: list[Future[object]] = []

        def look_slowly(path: Path) -> datetime:
            found = look(path)
            puts.append(pool.submit(bodies.put, MAIL))
            wait(puts, timeout=1)
            return found

        monkeypatch.setattr(durable_files, "written_at", look_slowly)
        assert bodies.remove(claim.key, datetime(2000, 1, 1, tzinfo=UTC))
        assert puts[0].result() == claim
    assert bodies.get(claim) == MAIL


def test_a_server_that_is_gone_is_an_error_not_a_missing_body() -> None:
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
    bodies = S3Bodies(boto3.client("s3", endpoint_url="http://127.0.0.1:1", **keys), BUCKET)
    with pytest.raises(BodyError, match="took no body"):
        bodies.put(MAIL)
    with pytest.raises(BodyError, match="cannot be read") as got:
        bodies.get(claim_for(MAIL))
    assert not isinstance(got.value, BodyMissing)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """The kernel's limit on a file's size stands in for a full disk; it binds the whole process, hence the child."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["BodiesFull", "0"], done.stderr


FULL_DISK = f"""
import resource, signal, sys
from pathlib import Path
from gateway.bodies import BodiesFull
from gateway.bodies_files import FileBodies
bodies = FileBodies(Path(sys.argv[1]) / "bodies")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))
try:
    bodies.put(b"x" * 200_000)
except BodiesFull as error:
    print(type(error).__name__)
print(sum(1 for path in (Path(sys.argv[1]) / "bodies").rglob("*") if path.is_file()))
"""


def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BodyError, match=r"file/bodies cannot be used \(Not a directory\); make that folder writable"):
        FileBodies(tmp_path / "file" / "bodies")


def test_the_settings_name_the_store(tmp_path: Path) -> None:
    assert isinstance(open_bodies(Settings(var=tmp_path)), FileBodies)
    assert (tmp_path / "bodies" / "sha256" / "ff").is_dir()
    open_bodies(Settings(var=tmp_path, bodies=str(tmp_path / "elsewhere")))
    assert (tmp_path / "elsewhere" / "sha256" / "00").is_dir()


@pytest.mark.parametrize("place", ["s3://", "ftp://host/folder", "s3:///prefix"])
def test_a_place_that_is_no_store_is_refused(place: str) -> None:
    with pytest.raises(SettingsError, match="ESPMAIL_BODIES"):
        open_bodies(Settings(bodies=place))


def test_s3_by_the_settings(monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.meta.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bodies = open_bodies(Settings(bodies=f"s3://{BUCKET}/by/settings"))
    claim = bodies.put(b"by settings")
    assert s3.get_object(Bucket=BUCKET, Key=f"by/settings/{claim.key}")["Body"].read() == b"by settings"


def test_the_errors_are_one_family() -> None:
    assert all(issubclass(kind, BodyError) for kind in (BodiesFull, BodyMissing, BodyDamaged))
