"""Unsubscribe tokens and the key that signs them (reliability row A-06)."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.keys import KeyFileError, load_keyring, rotate
from streams.domain.addresses import address_hash
from streams.domain.outgoing.unsubscribe import BadToken, Keyring, Unsubscribe, make_token, read_token
from streams.settings import Settings
from tests.services.installation import espmail

OLD, NEW, OTHER = (bytes([n]) * 32 for n in range(3))
EMAIL_ID = "b37b552e-40cd-52fd-ad11-f6486dd62fff"
HASH = address_hash("ann@x.org")
TOKEN = make_token(Keyring((OLD,)), HASH, "request", EMAIL_ID)


def test_a_token_says_whose_mail_of_what_purpose() -> None:
    assert read_token(Keyring((OLD,)), TOKEN) == Unsubscribe(HASH, "request", EMAIL_ID)


def test_a_token_outlives_the_rotation_of_its_key_until_the_key_is_dropped() -> None:
    assert read_token(Keyring((NEW, OLD)), TOKEN).address_hash == HASH
    with pytest.raises(BadToken):
        read_token(Keyring((NEW, OTHER)), TOKEN)


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], f"{TOKEN}A", f"{TOKEN}=", f" {TOKEN}"[:72], TOKEN.replace(TOKEN[0], "+"), "A" * 72])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(BadToken):
        read_token(Keyring((OLD,)), token)


def test_a_token_of_a_purpose_that_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.domain.outgoing.unsubscribe.PURPOSE_NAMES", {2: "list"})
    with pytest.raises(BadToken):
        read_token(Keyring((OLD,)), TOKEN)


@pytest.mark.parametrize("secrets", [(), (b"short",), (OLD, b"")])
def test_a_keyring_needs_real_secrets(secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        Keyring(secrets)


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = set(pool.map(lambda _: load_keyring(tmp_path / "var"), range(16)))
    assert len(rings) == 1
    assert stat.S_IMODE((tmp_path / "var" / "unsubscribe.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["unsubscribe.key"]


def test_rotation_signs_anew_and_keeps_what_was_signed(tmp_path: Path) -> None:
    first = load_keyring(tmp_path)
    second = rotate(tmp_path, keep=2)
    assert load_keyring(tmp_path) == second
    assert second.secrets[1:] == first.secrets
    assert rotate(tmp_path, keep=2).secrets[1:] == second.secrets[:1]


def test_the_command_rotates_and_says_what_to_restart(tmp_path: Path) -> None:
    first = load_keyring(tmp_path)
    answer = espmail(Settings(var=tmp_path), "keys", "rotate", "--keep", "2")
    assert load_keyring(tmp_path).secrets[1:] == first.secrets
    assert answer.out.startswith("rotated: 2 secrets are good; now restart `espmail web`, then")
    espmail(Settings(var=tmp_path), "keys", "rotate", "--keep", "1", expect=2)


@pytest.mark.parametrize("content", ["", "abcd\n", "not hex"])
def test_a_damaged_key_file_is_never_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "unsubscribe.key").write_text(content, encoding="ascii")
    with pytest.raises(KeyFileError, match="restore it from a backup"):
        load_keyring(tmp_path)
    assert (tmp_path / "unsubscribe.key").read_text("ascii") == content


def test_a_key_that_cannot_be_read_or_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    (tmp_path / "var" / "unsubscribe.key").mkdir(parents=True)
    for var in (tmp_path / "file" / "var", tmp_path / "var"):
        with pytest.raises(KeyFileError, match=r"cannot use .*; make it readable for this user, or set ESPMAIL_VAR"):
            load_keyring(var)
