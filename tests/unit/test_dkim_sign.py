"""Our DKIM signatures, held against dkimpy's verifier."""

from __future__ import annotations

from base64 import b64encode

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from streams.domain.dkim_sign import sign

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
MESSAGE = (
    b'From: "Yale  Splash" <info@yale.learningu.org>\r\nTo: ann@x.org\r\nSubject: a folded\r\n  subject\t \r\nDate: now\r\n'
    b"List-Unsubscribe: <https://yale.learningu.org/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"Received: by somebody\r\nX-Note: not signed\r\n\r\nHi  Ann, \t\r\n\r\n see you\r\n\r\n\r\n"
)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def verifies(signed: bytes) -> bool:
    """What a receiver finds that looks the key up in the DNS."""
    public = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b64encode(public)
    records = {b"s1._domainkey.yale.learningu.org.": record}

    def dns(name: bytes, timeout: int) -> bytes:
        assert timeout
        return records[name]

    return bool(dkim.verify(signed, dnsfunc=dns))


def test_another_implementation_verifies_it() -> None:
    signed = sign(MESSAGE, "yale.learningu.org", "s1", pem(RSA))
    assert signed.endswith(MESSAGE)
    assert max(map(len, signed.split(b"\r\n"))) <= 78
    assert verifies(signed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"see you", b"see us"),
        (b"Subject: a", b"Subject: the"),
        (b"From: ", b'From: "Eve" <eve@x.org>\r\nFrom: '),
        (b"Date: now", b"Date: now\r\nReply-To: eve@x.org"),
        (b"One-Click", b"Two-Click"),
        (b"https://yale", b"https://evil"),
    ],
)
def test_a_changed_or_added_field_breaks_it(old: bytes, new: bytes) -> None:
    assert not verifies(sign(MESSAGE, "yale.learningu.org", "s1", pem(RSA)).replace(old, new, 1))


def test_spaces_and_the_servers_own_fields_do_not() -> None:
    signed = sign(MESSAGE, "yale.learningu.org", "s1", pem(RSA))
    assert verifies(b"Received: from us\r\n" + signed.replace(b"Hi  Ann, \t", b"Hi Ann,").replace(b"a folded\r\n  ", b"a folded "))


def test_every_attempt_carries_the_same_bytes() -> None:
    assert sign(MESSAGE, "d.org", "s1", pem(RSA)) == sign(MESSAGE, "d.org", "s1", pem(RSA))


@given(st.text(st.sampled_from("ab \t\n."), max_size=80))
@example("")
@example("\n \n")
def test_any_body_verifies(body: str) -> None:
    """As it arrives: with a line end at its end, which SMTP adds where there is none."""
    message = b"From: a@b.c\r\n\r\n" + body.replace("\n", "\r\n").encode()
    signed = sign(message, "yale.learningu.org", "s1", pem(RSA))
    assert verifies(signed if signed.endswith(b"\r\n") else signed + b"\r\n")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "must be an RSA key"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_without_quoting_it(key: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refusal:
        sign(MESSAGE, "d.org", "s1", key)
    assert "AAAA" not in str(refusal.value)
