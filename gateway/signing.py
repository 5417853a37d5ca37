"""The key that signs outgoing mail (DKIM) and seals forwarded mail (ARC). Apart from keys.py, which commands import that must start fast."""

from __future__ import annotations

from pathlib import Path

from streams.domain.dkim_sign import load_key
from streams.domain.routing.arc import SealKey
from streams.settings import Settings, SettingsError


def load_signing_key(settings: Settings) -> SealKey | None:
    """The key that signs and seals; none if none is configured. Raises SettingsError for one that cannot sign."""
    if not settings.dkim_key:
        return None
    if not settings.dkim_domain:
        raise SettingsError("ESPMAIL_DKIM_KEY is set, but ESPMAIL_DKIM_DOMAIN is not; say whose key it is")
    try:
        key = Path(settings.dkim_key).read_bytes()
        load_key(key)
    except (OSError, ValueError) as error:
        raise SettingsError(f"ESPMAIL_DKIM_KEY: {error}") from None
    return SealKey(settings.dkim_domain.lower(), settings.dkim_selector, key)
