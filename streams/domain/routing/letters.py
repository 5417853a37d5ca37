"""What the site itself writes about an inbound mail: plain text, with the null envelope sender, so that nothing ever answers it (RFC 3834)."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import format_datetime

from streams.domain import ids
from streams.domain.addresses import format_address
from streams.domain.routing import words
from streams.domain.routing.fields import Head
from streams.domain.routing.model import Inbound, Member, Message
from streams.domain.routing.rewrite import MESSAGE_ID
from streams.events import SiteRow


def letter_id(mail: Inbound, purpose: str, address: str) -> str:
    """The id of the letter about this mail to this address: there is one of each purpose, however often it is written."""
    return ids.inbound_email_id(mail.inbound_id, purpose, address)


def letter(mail: Inbound, site: SiteRow, to: Member, purpose: str, subject: str, text: str, more: Sequence[bytes]) -> Message:
    """A letter from the site's support; `more` are further header lines. Its lines end with LF in `text`, with CRLF in the mail."""
    email_id = letter_id(mail, purpose, to.address)
    message_id = ids.message_id(email_id, site.domain)
    lines = [
        b"From: " + words.mailbox(site.group_name, site.support),
        b"To: " + words.mailbox(to.name, to.address),
        b"Subject: " + words.encoded(subject).replace(b"?= =?", b"?=\r\n =?"),
        f"Date: {format_datetime(mail.received_at)}".encode(),
        f"Message-ID: {message_id}".encode(),
        *more,
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: 8bit",
    ]
    return Message(
        envelope_from="",
        recipient=to.address,
        to=format_address(to.name, to.address),
        user_id=to.user_id,
        header=b"".join(line + b"\r\n" for line in lines),
        message_id=message_id,
        subject=subject,
        purpose=purpose,
        part=purpose,
        body=text.replace("\n", "\r\n").encode("utf-8", "replace"),
    )


def answering(head: Head) -> list[bytes]:
    """The lines that make a letter the answer to a mail (RFC 3834, section 3.1.5)."""
    answered = head.text("message-id")
    thread = [f"In-Reply-To: {answered}".encode(), f"References: {answered}".encode()] if MESSAGE_ID.fullmatch(answered) else []
    return [*thread, b"Auto-Submitted: auto-replied"]
