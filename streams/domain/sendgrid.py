"""SendGrid's Web API (v3, mail/send): the body of the call for one email, and what its answer means in SMTP's words.

    payload(email, files) -> bytes
    answer(status, body, message_id) -> (Phase, Reply | Fault), for delivery.judge

SendGrid writes the message itself, by its own return path; only composed mail can go this way (spec 5.7, example 64).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from streams.domain.addresses import Mailbox, parse_mailbox, split_mailboxes
from streams.domain.mime_fields import encoded_words, wire_address
from streams.domain.verdicts import Fault, Phase, Reply
from streams.events import Attachment, Composed, EmailQueued, Header

# Fields that have their own place in the call; those that SendGrid reserves are among them.
PLACED = frozenset({"from", "to", "cc", "bcc", "subject", "reply-to", "content-type", "content-transfer-encoding"})
# Links would be rewritten, the unsubscribe links among them, and readers watched.
UNTRACKED = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
}

# HTTP status -> the phase and reply of an SMTP server that says the same; the table of replies then decides.
ANSWERS: dict[int, tuple[Phase, int, str]] = {
    200: (Phase.DOT, 250, "2.0.0"),  # sandbox mode
    202: (Phase.DOT, 250, "2.0.0"),
    400: (Phase.DOT, 554, "5.6.0"),
    401: (Phase.AUTH, 535, "5.7.8"),  # the key is wrong
    403: (Phase.AUTH, 535, "5.7.8"),  # the key may not send; or the From is not verified, see below
    404: (Phase.GREETING, 502, "5.5.1"),  # not SendGrid's address
    405: (Phase.GREETING, 502, "5.5.1"),
    413: (Phase.DOT, 552, "5.3.4"),
    429: (Phase.GREETING, 421, "4.7.0"),
    500: (Phase.DOT, 451, "4.3.0"),
    503: (Phase.DOT, 451, "4.3.0"),
}


def payload(email: EmailQueued, files: Mapping[str, bytes]) -> bytes:
    """The JSON body. Raises ValueError for a relayed mail or for a header that cannot be sent.

    `files` holds the bytes of each attachment by its body's key. The one recipient is the envelope's.
    """
    content = email.content
    if not isinstance(content, Composed):
        raise ValueError("SendGrid's Web API takes no mail of others as it is; relay it by SMTP")  # noqa: TRY004 - an email's fault
    fields = {header.name.lower(): header.value for header in content.headers}
    sent: dict[str, Any] = {
        "from": _party(parse_mailbox(fields.get("from", ""))),
        "personalizations": [
            {
                "to": [_party(Mailbox(parse_mailbox(email.to).name, email.recipient))],
                "subject": email.subject or " ",  # an empty one is refused
                "headers": {header.name: _ascii(header) for header in content.headers if header.name.lower() not in PLACED},
                "custom_args": {"email_id": email.email_id},  # comes back with every event of the webhook
            }
        ],
        "content": _content(content),
        "tracking_settings": UNTRACKED,
        **_reply_to(fields.get("reply-to", "")),
    }
    if content.attachments:
        sent["attachments"] = [_file(file, files[file.body.key]) for file in content.attachments]
    return json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()


def answer(status: int, body: bytes, message_id: str = "") -> tuple[Phase, Reply | Fault]:
    """The answer as an SMTP server would have given it; `message_id` is SendGrid's own, of the X-Message-Id field. Total."""
    words = message_id or body[:2000].decode("utf-8", "replace")
    if status == 400 and _is_about("personalizations.0.to", body):
        return Phase.RCPT, Reply(553, f"5.1.3 {words}")
    if status == 403 and _is_about("from", body):
        return Phase.MAIL, Reply(550, f"5.7.1 {words}")
    known = ANSWERS.get(status)
    if known is None:
        return Phase.DOT, Fault("protocol", f"HTTP {status}: {words}")  # 502 and 504 are a proxy's: it may have been taken
    phase, code, enhanced = known
    return phase, Reply(code, f"{enhanced} {words}")


def _party(mailbox: Mailbox) -> dict[str, str]:
    email = {"email": wire_address(mailbox.address)}
    return email | {"name": mailbox.name} if mailbox.name else email


def _reply_to(value: str) -> dict[str, Any]:
    parties = [_party(parse_mailbox(item)) for item in split_mailboxes(value)] if value else []
    if len(parties) == 1:
        return {"reply_to": parties[0]}
    return {"reply_to_list": parties} if parties else {}


def _content(content: Composed) -> list[dict[str, str]]:
    parts = [{"type": "text/plain", "value": content.text or " "}]  # an empty one is refused
    return parts if content.html is None else [*parts, {"type": "text/html", "value": content.html}]


def _file(file: Attachment, data: bytes) -> dict[str, str]:
    sent = {"content": b64encode(data).decode(), "type": file.content_type, "filename": file.filename}
    if file.content_id is None:
        return sent | {"disposition": "attachment"}
    return sent | {"disposition": "inline", "content_id": file.content_id}


def _ascii(header: Header) -> str:
    return header.value if header.value.isascii() else " ".join(encoded_words(header.value, 48))


def _is_about(place: str, body: bytes) -> bool:
    """Whether an error names this field of the call, or one within it."""
    try:
        errors = json.loads(body[:65536])["errors"]
        fields = [str(error.get("field")) for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return any(f"{field}.".startswith(f"{place}.") for field in fields)
