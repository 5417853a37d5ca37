"""Microseconds of one core per mail: writing the bytes, beside the stdlib's two ways; and what a DKIM signature adds.

Run: python -m benchmarks.compose
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from streams.domain.compose import compose
from streams.domain.dkim_sign import sign
from streams.domain.ids import message_id, request_email_id
from streams.events import Composed, EmailQueued, Header

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
MAILS = 500
ROUNDS = 7
LINE = "Hello Ann, your classes on Saturday are listed below; see you there soon!\n"
TEXT = LINE * 27  # 2 kB
ACCENTED = TEXT.replace("Saturday", "Sábado")


def html_of(text: str) -> str:
    return "<html><body>" + "".join(f"<p>{line}</p>\n" for line in text.splitlines()) + "</body></html>"


def mail(number: int, text: str, html: str | None) -> EmailQueued:
    """A mail as expansion queues it, all fields its own."""
    email_id = request_email_id("benchmark", str(number), f"ann{number}@x.org")
    name, to, subject = (
        message_id(email_id, "yale.learningu.org"),
        f'"Ann Lee {number}" <ann{number}@x.org>',
        f"Your schedule, Ann {number}",
    )
    headers = [
        Header("From", "Yale Splash <info@yale.learningu.org>"),
        Header("To", to),
        Header("Subject", subject),
        Header("Date", "Fri, 20 Nov 2026 10:00:00 +0000"),
        Header("Message-ID", name),
        Header("Reply-To", "ada@x.org"),
        Header("List-Unsubscribe", f"<https://yale.learningu.org/unsubscribe/{'A' * 72}>"),
        Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        Header("List-Id", "<announcements.yale.learningu.org>"),
        Header("Feedback-ID", "0123456789abcdef:yale.learningu.org:request:espmail"),
    ]
    return EmailQueued(
        email_id=email_id,
        request_id="benchmark",
        inbound_id=None,
        user_id=str(number),
        purpose="request",
        recipient=f"ann{number}@x.org",
        to=to,
        envelope_from="emailbounces@learningu.org",
        subject=subject,
        message_id=name,
        queued_at=NOW,
        expires_at=NOW,
        attempt=1,
        max_attempts=3,
        on_doubt="hold",
        content=Composed(headers, text, html, []),
    )


def directly(email: EmailQueued) -> bytes:
    return compose(email, {})


def by_email_message(email: EmailQueued) -> bytes:
    assert isinstance(email.content, Composed)
    message = EmailMessage()
    for header in email.content.headers:
        message[header.name] = header.value
    message.set_content(email.content.text)
    if email.content.html is not None:
        message.add_alternative(email.content.html, subtype="html")
    return message.as_bytes()


def by_mime_text(email: EmailQueued) -> bytes:
    assert isinstance(email.content, Composed)
    message: MIMEText | MIMEMultipart = MIMEText(email.content.text)
    if email.content.html is not None:
        message = MIMEMultipart("alternative", _subparts=[message, MIMEText(email.content.html, "html")])
    for header in email.content.headers:
        message[header.name] = header.value
    return message.as_bytes()


def microseconds(write: Callable[[EmailQueued], bytes], mails: list[EmailQueued]) -> float:
    """The median of the rounds."""

    def once() -> float:
        start = time.process_time()
        for each in mails:
            write(each)
        return (time.process_time() - start) / len(mails) * 1e6

    return statistics.median(once() for _ in range(ROUNDS))


def main() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    kinds = {
        "text, 2 kB": (TEXT, None),
        "text with accents": (ACCENTED, None),
        "text and HTML": (TEXT, html_of(TEXT)),
        "both with accents": (ACCENTED, html_of(ACCENTED)),
    }
    print(f"{'us a mail':22}{'compose':>10}{'EmailMessage':>14}{'MIMEText':>10}{'DKIM on top':>13}{'bytes':>8}")
    for kind, (text, html) in kinds.items():
        mails = [mail(number, text, html) for number in range(MAILS)]
        size = len(directly(mails[0]))
        direct = microseconds(directly, mails)
        signed = microseconds(lambda email: sign(compose(email, {}), "yale.learningu.org", "s1", key), mails[:100]) - direct
        few = mails[:50]
        print(
            f"{kind:22}{direct:10.0f}{microseconds(by_email_message, few):14.0f}{microseconds(by_mime_text, few):10.0f}{signed:13.0f}{size:8}"
        )


if __name__ == "__main__":
    main()
