"""The body store that the settings name."""

from __future__ import annotations

from pathlib import Path

from gateway.bodies import BodyStore
from gateway.bodies_files import FileBodies
from streams.settings import Settings, SettingsError


def open_bodies(settings: Settings) -> BodyStore:
    """The store that the settings name. Raises SettingsError for a place that cannot be one, BodyError if it cannot be made."""
    place = settings.bodies
    if not place:
        return FileBodies(settings.var / "bodies")
    scheme, separator, rest = place.partition("://")
    if not separator:
        return FileBodies(Path(place))
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise SettingsError(f"ESPMAIL_BODIES takes a folder or s3://bucket/prefix, not {place!r}")
    from gateway.bodies_s3 import S3Bodies, client  # boto3 takes a third of a second to import, and most installations keep files

    return S3Bodies(client(), bucket, prefix)
