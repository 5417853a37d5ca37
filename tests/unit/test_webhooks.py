"""Provider webhooks: only what the provider signed counts, and it says which address is dead (reliability, rows A-07 to A-09)."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import encode
from streams.domain import sendgrid_events, sns
from streams.domain.addresses import address_hash
from streams.domain.soft_bounces import speaks_of_address
from streams.events import EmailBounced, EmailComplained, Unsubscribed

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
ID = "3b1f0a9e-1111-5222-8333-000000000001"
ANN = address_hash("ann@x.org")
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


# -- SendGrid


def shown(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def signed(body: bytes, stamp: str = STAMP) -> str:
    return b64encode(EC.sign(stamp.encode() + body, ec.ECDSA(SHA256()))).decode()


def event(**fields: Any) -> Any:
    return {"email": "ann@x.org", "sg_event_id": "sg-1", "timestamp": int(STAMP), "email_id": ID, **fields}


def read(*events: Any) -> list[Any]:
    return list(sendgrid_events.read_events(json.dumps(events).encode()))


def test_a_genuine_request_is_known() -> None:
    assert sendgrid_events.genuine(shown(EC), signed(b"[]"), STAMP, b"[]", NOW)


@pytest.mark.parametrize(
    ("key", "signature", "stamp", "body", "now"),
    [
        (shown(EC), signed(b"[]"), STAMP, b"[ ]", NOW),
        (shown(EC), signed(b"[]"), str(int(STAMP) + 1), b"[]", NOW),
        (shown(EC), signed(b"[]"), STAMP, b"[]", NOW + timedelta(minutes=6)),
        (shown(EC), signed(b"[]"), STAMP, b"[]", NOW - timedelta(minutes=6)),
        (shown(EC), "", STAMP, b"[]", NOW),
        (shown(EC), "é", STAMP, b"[]", NOW),
        (shown(EC), signed(b"[]", "x"), "x", b"[]", NOW),
        (shown(EC), signed(b"[]", "9" * 30), "9" * 30, b"[]", NOW),
        (shown(RSA), signed(b"[]"), STAMP, b"[]", NOW),
        (shown(ec.generate_private_key(ec.SECP256R1())), signed(b"[]"), STAMP, b"[]", NOW),
        ("", signed(b"[]"), STAMP, b"[]", NOW),
        ("AAAA", signed(b"[]"), STAMP, b"[]", NOW),
    ],
    ids=[
        "another body",
        "another time",
        "too old",
        "from the future",
        "no signature",
        "not base64",
        "no time",
        "a time beyond all clocks",
        "a key of another kind",
        "a key of another",
        "no key",
        "half a key",
    ],
)
def test_no_other_request_is(key: str, signature: str, stamp: str, body: bytes, now: datetime) -> None:
    assert not sendgrid_events.genuine(key, signature, stamp, body, now)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 no such user"}, "hard"),
        ({"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": "550 spam"}, "soft"),
        ({"event": "bounce"}, "soft"),
        ({"event": "dropped", "reason": "Bounced Address"}, "hard"),
        ({"event": "dropped", "reason": "something new"}, "soft"),
    ],
)
def test_a_bounce_of_sendgrid(fields: dict[str, str], kind: str) -> None:
    (bounced,) = read(event(**fields))
    assert bounced == EmailBounced("sendgrid/sg-1", NOW, ID, ANN, kind, fields.get("status", ""), fields.get("reason", ""), "sendgrid")


@pytest.mark.parametrize(
    "reason", ["Invalid SMTPAPI header", "Spam Content (if Spam Checker app is enabled)", "Recipient List over Package Quota"]
)
def test_what_sendgrid_drops_for_our_sake_is_not_counted_against_the_address(reason: str) -> None:
    (bounce,) = read(event(event="dropped", reason=reason))
    assert (bounce.kind, speaks_of_address(bounce)) == ("soft", False)
    assert speaks_of_address(read(event(event="dropped", reason="something new"))[0])


def test_complaints_and_unsubscribes_of_sendgrid() -> None:
    spam, dropped, left, group = read(
        event(event="spamreport"),
        event(event="dropped", reason="Spam Reporting Address"),
        event(event="unsubscribe"),
        event(event="group_unsubscribe", email_id="not ours"),
    )
    assert spam == dropped == EmailComplained("sendgrid/sg-1", NOW, ID, ANN, "sendgrid")
    assert left == Unsubscribed("sendgrid/sg-1", NOW, ID, ANN, "request", "sendgrid")
    assert group.email_id is None


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "delivered"},
        {"event": "open"},
        {"event": "bounce", "email": None},
        {"event": "bounce", "sg_event_id": 7},
        {"event": "bounce", "timestamp": "now"},
        {"event": "bounce", "timestamp": 10**30},
        {"event": "bounce", "email": "\ud800@x.org"},
        {"event": ["bounce"]},
        {},
    ],
)
def test_what_says_nothing_is_passed_over(fields: dict[str, Any]) -> None:
    assert [type(found) for found in read(event(**fields), 7, None, event(event="spamreport"))] == [EmailComplained]


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"7", b"[" * 100_000])
def test_a_body_that_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        sendgrid_events.read_events(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(
    st.dictionaries(st.sampled_from(["event", "type", "email", "sg_event_id", "timestamp", "reason", "status", "email_id"]), json_values)
)
def test_any_event_is_read_or_passed_over(fields: dict[str, Any]) -> None:
    for found in read(event(event="bounce") | fields):
        assert encode(found)


# -- SNS and SES


def certificate(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    return built.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(key, SHA256()).public_bytes(Encoding.PEM)


def notification(told: Any, version: str = "2", **fields: str) -> dict[str, str]:
    message = {
        "Type": "Notification",
        "MessageId": "m1",
        "TopicArn": "arn:aws:sns:us-east-1:1:feedback",
        "Message": json.dumps(told),
        "Timestamp": "2026-11-20T10:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
        **fields,
    }
    text = "".join(f"{name}\n{message[name]}\n" for name in sns.SIGNED[message["Type"]] if name in message)
    algorithm = SHA1() if version == "1" else SHA256()
    return message | {"Signature": b64encode(RSA.sign(text.encode(), PKCS1v15(), algorithm)).decode()}


def bounce(**fields: Any) -> dict[str, Any]:
    return {
        "notificationType": "Bounce",
        "mail": {"headers": [{"name": "Subject", "value": "x"}, {"name": "Message-ID", "value": f"<{ID}@yale.learningu.org>"}]},
        "bounce": {
            "bounceType": "Permanent",
            "feedbackId": "f1",
            "timestamp": "2026-11-20T10:00:00.000Z",
            "bouncedRecipients": [{"emailAddress": "ann@x.org", "status": "5.1.1", "diagnosticCode": "smtp; 550\r\nno"}],
            **fields,
        },
    }


CERTIFICATE = certificate(RSA)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "Amazon SES"}])
def test_a_genuine_notification_is_known(version: str, subject: dict[str, str]) -> None:
    assert sns.genuine(notification({}, version, **subject), CERTIFICATE)


@pytest.mark.parametrize(
    "changed",
    [
        {"Message": "{}"},
        {"Signature": ""},
        {"Signature": "é"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Type": "SubscriptionConfirmation"},
        {"Type": "Other"},
        {"Subject": "added"},
    ],
)
def test_no_other_notification_is(changed: dict[str, str]) -> None:
    assert not sns.genuine(notification({"x": 1}) | changed, CERTIFICATE)


def test_another_certificate_is_not_enough() -> None:
    assert not sns.genuine(notification({}), certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    assert not sns.genuine(notification({}), certificate(ec.generate_private_key(ec.SECP256R1())))
    assert not sns.genuine(notification({}), b"no certificate")


CERTIFICATE_AT = "/SimpleNotificationService-0123abcd.pem"
CONFIRM = "/?Action=ConfirmSubscription&Token=1"


@pytest.mark.parametrize(
    "host",
    [
        "http://sns.us-east-1.amazonaws.com",
        "https://sns.us-east-1.amazonaws.com.evil.org",
        "https://evil.org/sns.us-east-1.amazonaws.com",
        "https://user@sns.us-east-1.amazonaws.com",
        "https://sns.us-east-1.amazonaws.com:8080",
        "https://s3.us-east-1.amazonaws.com",
        "https://sns.s3.amazonaws.com",  # anybody's bucket, if its name is still free
        "https://sns.s3-eu-west-1.amazonaws.com",
        "https://sns.s3-website-us-east-1.amazonaws.com",
        "https://sns.us-east-1.amazonaws.com\n",
        "https://127.0.0.1",
        "file:///etc",
        "",
    ],
)
def test_only_sns_itself_is_asked(host: str) -> None:
    for ask, field, path in ((sns.certificate_url, "SigningCertURL", CERTIFICATE_AT), (sns.subscribe_url, "SubscribeURL", CONFIRM)):
        with pytest.raises(ValueError, match="none of Amazon SNS's own"):
            ask({field: host + path})


@pytest.mark.parametrize("path", ["", "/", CONFIRM, "/x.pem", f"{CERTIFICATE_AT}?x", f"/../{CERTIFICATE_AT}", f"{CERTIFICATE_AT}\n"])
def test_of_sns_only_certificates_are_believed(path: str) -> None:
    with pytest.raises(ValueError, match="none of Amazon SNS's own"):
        sns.certificate_url({"SigningCertURL": f"https://sns.us-east-1.amazonaws.com{path}"})


@pytest.mark.parametrize("url", [None, 7, [], {}])
def test_what_is_no_url_is_not_asked(url: Any) -> None:
    for ask, field in ((sns.certificate_url, "SigningCertURL"), (sns.subscribe_url, "SubscribeURL")):
        with pytest.raises(ValueError, match="none of Amazon SNS's own"):
            ask({field: url})


def test_sns_itself_is_asked() -> None:
    for host in ("sns.eu-west-1.amazonaws.com", "sns.us-gov-west-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"):
        certificate, confirmation = f"https://{host}{CERTIFICATE_AT}", f"https://{host}{CONFIRM}"
        assert sns.certificate_url({"SigningCertURL": certificate}) == certificate
        assert sns.subscribe_url({"SubscribeURL": confirmation}) == confirmation


def test_a_bounce_of_ses() -> None:
    (hard,) = sns.read_event(notification(bounce()))
    assert hard == EmailBounced("ses/f1/0", NOW, ID, ANN, "hard", "5.1.1", "smtp; 550 no", "ses")
    (soft,) = sns.read_event(notification(bounce(bounceType="Transient")))
    assert isinstance(soft, EmailBounced)
    assert soft.kind == "soft"


@pytest.mark.parametrize(
    ("word", "speaks"), [("MailboxFull", True), ("MessageTooLarge", False), ("ContentRejected", False), ("AttachmentRejected", False)]
)
def test_what_ses_says_of_the_mail_is_not_counted_against_the_address(word: str, speaks: bool) -> None:
    (soft,) = sns.read_event(
        notification(bounce(bounceType="Transient", bounceSubType=word, bouncedRecipients=[{"emailAddress": "ann@x.org"}]))
    )
    assert isinstance(soft, EmailBounced)
    assert speaks_of_address(soft) is speaks


def test_a_complaint_of_ses() -> None:
    told: dict[str, Any] = {
        "eventType": "Complaint",
        "mail": {},
        "complaint": {"feedbackId": "f2", "timestamp": "2026-11-20T10:00:00.000Z", "complainedRecipients": [{"emailAddress": "ANN@X.ORG"}]},
    }
    assert sns.read_event(notification(told)) == [EmailComplained("ses/f2/0", NOW, None, ANN, "ses")]
    told["complaint"]["complaintFeedbackType"] = "not-spam"
    assert sns.read_event(notification(told)) == []


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        7,
        {"eventType": "Delivery"},
        {"eventType": "Bounce"},
        bounce(timestamp="now"),
        bounce(timestamp="2026-11-20T10:00:00"),
        bounce(bouncedRecipients=7),
    ],
)
def test_what_says_nothing_of_ses_is_passed_over(told: Any) -> None:
    assert sns.read_event(notification(told)) == []
    assert sns.read_event({"Message": "[" * 100_000}) == []
    assert sns.read_event({}) == []
