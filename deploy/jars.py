"""The embedded broker's jars: exactly those pinned in jars.sha256, fetched once by jgo and checked at every start.

The pinned list is the whole dependency tree, so nothing is resolved at run time and nothing new can slip in.
A new Kafka: change COORDINATES, run `python -m deploy.jars`, and read the diff.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streams.errors import UserError

COORDINATES = "org.apache.kafka:kafka_2.13:4.1.2+org.slf4j:slf4j-simple:1.7.36"
PINNED = Path(__file__).with_name("jars.sha256")
AT_ONCE = 8


class JarsError(UserError):
    """A jar is missing and cannot be fetched, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One jar: its Maven coordinate (group:artifact:version) and what its bytes must hash to."""

    sha256: str
    coordinate: str

    @property
    def file_name(self) -> str:
        return "{1}-{2}.jar".format(*self.coordinate.split(":"))


def pinned() -> list[Pin]:
    """The list as committed, in class path order."""
    return [Pin(*line.split()) for line in PINNED.read_text(encoding="utf-8").splitlines()]


def classpath(folder: Path, pins: list[Pin] | None = None) -> str:
    """The class path of the pinned jars in `folder`, fetching those that it lacks. Raises JarsError; may be repeated.

    Blocks for the download, about ten seconds the first time. A jar appears in the folder whole and checked, or not at all.
    """
    wanted = pinned() if pins is None else pins
    missing = [pin for pin in wanted if not (folder / pin.file_name).exists()]
    if missing:
        _fetch(missing, folder)
    paths = {folder / pin.file_name: pin for pin in wanted}
    for path, pin in paths.items():
        if _sha256(path) != pin.sha256:
            raise JarsError(f"{path} is not the {pin.coordinate} that deploy/jars.sha256 pins; delete the file and start again")
    return os.pathsep.join(map(str, paths))


def _fetch(pins: list[Pin], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A staging folder of our own: jgo takes a half-written file of an earlier run for a whole one.
        with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as staging, ThreadPoolExecutor(AT_ONCE) as pool:
            for pin, path in zip(pins, pool.map(lambda pin: _download(pin.coordinate, Path(staging)), pins), strict=True):
                if _sha256(path) != pin.sha256:
                    raise JarsError(f"the {pin.coordinate} that was fetched is not the one that deploy/jars.sha256 pins; it was not kept")
                path.replace(folder / pin.file_name)
    except (OSError, RuntimeError) as error:
        raise JarsError(
            f"cannot fetch Kafka's jars into {folder} ({_first_line(error)}); connect to the network for the first start,"
            " put the jars of deploy/jars.sha256 there yourself, or name an outside Kafka in ESPMAIL_KAFKA"
        ) from error


def _download(coordinate: str, repository: Path) -> Path:
    from jgo.maven import MavenContext  # slow to import, and needed once in an installation's life

    group, artifact, version = coordinate.split(":")
    path: Path = MavenContext(repo_cache=repository).project(group, artifact).at_version(version).artifact().resolve()
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _pin() -> None:
    """Print the list for COORDINATES."""
    import jgo

    with tempfile.TemporaryDirectory() as staging:
        for artifact in jgo.resolve(COORDINATES):
            coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            print(_sha256(_download(coordinate, Path(staging))), "", coordinate)


if __name__ == "__main__":
    _pin()
