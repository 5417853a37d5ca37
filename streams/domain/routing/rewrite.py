"""What a copy's header looks like: edits on header lines as bytes (spec 6.5; architecture.md, section 9.16).

Two styles. A *forward* (alias, plain redirect) keeps every field that the sender may have signed. A *broadcast* (class
list, or any rule with a prefix or a From of its own) comes from the site: its DMARC passes, replies go where the list
wants them, and the sender's private address is nowhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import quote

from streams.domain import ids
from streams.domain.addresses import DOT_ATOM, parse_mailbox
from streams.domain.routing import words
from streams.domain.routing.arc import sealed
from streams.domain.routing.case import Case
from streams.domain.routing.fields import Field, Head
from streams.domain.routing.model import Addressee, Inbound, Member
from streams.events import EmailListRow, SiteRow

OWN_PARENT = ".learningu.org"  # chapter sites' parent: mail from below it is aligned already (spec 8.1)
MAX_LINE = 998  # RFC 5322, section 2.1.1
ALWAYS_REMOVED = frozenset({"bcc", "resent-bcc", "return-path"})
REMOVED_FROM_BROADCASTS = ALWAYS_REMOVED | {
    "to", "cc",  # ours names the recipient
    "sender", "reply-to", "errors-to", "mail-reply-to", "mail-followup-to",  # would answer around the list
    "return-receipt-to", "disposition-notification-to", "x-confirm-reading-to",  # would tell the sender who reads
    "dkim-signature", "domainkey-signature", "authentication-results", "received-spf",  # true of the mail as it was
    "arc-seal", "arc-message-signature", "arc-authentication-results",
    "list-id", "list-post", "list-help", "list-owner", "list-archive", "list-subscribe", "list-unsubscribe", "list-unsubscribe-post",
    "precedence", "x-esp-sender", "x-forwarded-for",  # ours
}  # fmt: skip
# Replaced anyway, text, or ids that look like addresses.
MAY_NAME_THE_SENDER = frozenset({"from", "subject", "message-id", "in-reply-to", "references"})
MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
CLIENT_IP = re.compile(rb"[0-9A-Za-z.:, ]{1,200}")
NO_ALIAS = re.compile(r"[+%!]")  # characters that keep a mail from reaching a username (directory.addressee)
NOT_HOST = re.compile(r"[^A-Za-z0-9.:_-]")


@dataclass(frozen=True, slots=True)
class Copy:
    """What all copies of a mail for one rule share. `header` is complete but for the To of a broadcast."""

    header: bytes
    stray: bytes
    message_id: str
    subject: str


def forward(case: Case, path: Sequence[Addressee]) -> Copy:
    """The mail as it came, with our trace on top, an ARC set where there is a key, and nothing that was secret."""
    mail, head, site = case.mail, case.head, case.directory.sites[path[-1].domain]
    added = {} if head.first("message-id") else {"message-id": _field("Message-ID", _new_id(mail, site))}
    header = _trace(mail, site, path) + _edited(head.fields, ALWAYS_REMOVED, added)
    if case.seal_key is not None:
        header = sealed(header, mail.content[head.body_start :], case.results, case.seal_key, mail.received_at)
    message_id = head.text("message-id") if head.first("message-id") else _new_id(mail, site)
    return Copy(header, head.stray, message_id[:MAX_LINE], words.decoded(head.text("subject")))


def broadcast(case: Case, path: Sequence[Addressee], row: EmailListRow, tag: str | None, *, on_list: bool) -> Copy:
    """The mail as the list sends it; `on_list` says whether the sender gets a copy. The To is added by `addressed`."""
    mail, head, to = case.mail, case.head, path[-1]
    site = case.directory.sites[to.domain]
    sent_by, answer_to = _identity(case, site, to, row, on_list=on_list)
    subject = _subject(head, [prefix for prefix in (row.subject_prefix, tag) if prefix])
    replaced = {
        "from": _field("From", sent_by) if sent_by else b"".join(field.raw for field in head.all("from")),
        "subject": subject,
        "message-id": _field("Message-ID", _new_id(mail, site)),
        "references": _references(head),
        "reply-to": _field("Reply-To", answer_to),
        "precedence": b"Precedence: list\r\n",
        "x-esp-sender": b"X-ESP-SENDER: version 2\r\n",
        "x-forwarded-for": _forwarded_for(head),
        **_list_fields(site, to),
    }
    if not head.first("date"):
        replaced["date"] = _field("Date", format_datetime(mail.received_at))
    kept = _without(head.fields, _private(case))
    header = _trace(mail, site, path) + _edited(kept, REMOVED_FROM_BROADCASTS, replaced)
    return Copy(header, head.stray, _new_id(mail, site), words.decoded(Field("subject", subject).text))


def addressed(copy: Copy, members: Iterable[Member]) -> bytes:
    """The header block of one copy of a broadcast, with its To."""
    to = b",\r\n ".join(words.mailbox(member.name, member.address) for member in members)
    return copy.header + b"To: " + to + b"\r\n" + copy.stray


def speaks_for(site: SiteRow, address: str) -> bool:
    """True if mail from this address is the site's own already."""
    domain = address.rpartition("@")[2].lower()
    return domain == site.domain.lower() or domain.endswith(OWN_PARENT)


def _identity(case: Case, site: SiteRow, to: Addressee, row: EmailListRow, *, on_list: bool) -> tuple[bytes | None, bytes]:
    """The new From (none: the old one stays) and the Reply-To, in which an account's own address never is."""
    sender = case.sender
    name, alias = _alias(case, site)
    own = sender.mailbox is not None and speaks_for(site, sender.mailbox.address)
    sent_by: bytes | None = words.mailbox(name or to.local, alias or to.address)
    if row.from_email:
        configured = parse_mailbox(row.from_email)
        sent_by = words.mailbox(configured.name, configured.address)
    elif own:
        sent_by = None
    answer = alias or (sender.mailbox.address if sender.mailbox and (own or sender.account is None) else "")
    answers = [words.mailbox("", to.address)]
    if answer and (not on_list or row.from_email):
        answers.append(words.mailbox(name, answer))
    return sent_by, b", ".join(answers)


def _alias(case: Case, site: SiteRow) -> tuple[str, str]:
    """The sender's name and address at the site; no address for one whom no mail to it would reach."""
    account, mailbox = case.sender.account, case.sender.mailbox
    if account is None:
        return (mailbox.name if mailbox else ""), ""
    name = f"{account.first_name} {account.last_name}".strip() or account.username
    writable = DOT_ATOM.fullmatch(account.username) and not NO_ALIAS.search(account.username)
    alone = len(case.directory.usernames[account.username.lower()]) == 1
    return name, f"{account.username}@{site.domain}" if writable and alone else ""


def _subject(head: Head, tags: list[str]) -> bytes:
    """The subject with each tag in brackets before it that it does not hold yet, ignoring case (spec 8, row 46)."""
    field = head.first("subject")
    written = field.raw.partition(b":")[2].lstrip(b" \t\r\n") if field else b""
    present = words.decoded(field.text).lower() if field else ""
    missing = "".join(f"[{tag}] " for tag in tags if f"[{tag}]".lower() not in present)
    if not missing:
        return field.raw if field else b""
    prefix = words.encoded(missing if written.startswith(b"=?") else missing.rstrip())
    first_line = len(prefix) + len(written.partition(b"\r\n")[0]) + len("Subject:  ")
    gap = b" " if first_line <= MAX_LINE else b"\r\n "
    return b"Subject: " + prefix.rstrip() + (gap + written.rstrip(b"\r\n") if written else b"") + b"\r\n"


def _references(head: Head) -> bytes:
    """The old Message-ID at the end of the thread, so that answers in either copy of it meet."""
    field, old = head.first("references"), head.text("message-id")
    if not MESSAGE_ID.fullmatch(old):
        return field.raw if field else b""
    if field is None or not field.value:
        return _field("References", old)
    return field.raw.removesuffix(b"\r\n") + b"\r\n " + old.encode() + b"\r\n"


def _list_fields(site: SiteRow, to: Addressee) -> dict[str, bytes]:
    """RFC 2919 and RFC 2369. Rosters are kept by the site, so leaving is a request to its support."""
    leave = f"<mailto:{site.support}?subject=unsubscribe%20{quote(to.local)}>"
    return {
        "list-id": _field("List-Id", f"<{to.local}.{to.domain}>"),
        "list-post": _field("List-Post", f"<mailto:{quote(to.address, safe='@')}>"),
        "list-unsubscribe": _field("List-Unsubscribe", leave) if site.support else b"",
    }


def _forwarded_for(head: Head) -> bytes:
    """X-FORWARDED-FOR from X-Client-IP, else Client-IP (spec 6.5); nothing where there is neither."""
    for name in ("x-client-ip", "client-ip"):
        field = head.first(name)
        if field and CLIENT_IP.fullmatch(field.value):
            return b"X-FORWARDED-FOR: " + field.value + b"\r\n"
    return b""


def _trace(mail: Inbound, site: SiteRow, path: Sequence[Addressee]) -> bytes:
    """Our marks on top: every address of the site that the mail went through, then one hop."""
    marks = b"".join(_field("Delivered-To", to.address) for to in reversed(path))
    client = f"from {NOT_HOST.sub('', mail.helo) or 'unknown'} ([{NOT_HOST.sub('', mail.client)}])\r\n\t" if mail.client else ""
    protocol = f" with {mail.protocol}" if mail.protocol.isascii() and mail.protocol.isalnum() else ""
    hop = f"{client}by {site.domain}{protocol} id {mail.inbound_id[:16]}\r\n\tfor <{path[0].address}>; {format_datetime(mail.received_at)}"
    return marks + _field("Received", hop)


def _edited(fields: Iterable[Field], removed: frozenset[str], replaced: Mapping[str, bytes]) -> bytes:
    """The fields in their order: replaced where the first of the name stood, else added below; the rest of the name gone."""
    left, lines = dict(replaced), []
    for field in fields:
        if field.name in replaced and field.name not in removed:
            lines.append(left.pop(field.name, b""))
        elif field.name not in removed:
            lines.append(field.raw)
    return b"".join([*lines, *left.values()])


def _private(case: Case) -> list[str]:
    """The addresses that the writer is reached at elsewhere: that of From, and the envelope's, which is another where From names nobody."""
    found = [case.sender.mailbox.address if case.sender.mailbox else "", case.mail.mail_from]
    return [address for address in found if address and not speaks_for(case.site, address)]


def _without(fields: Iterable[Field], addresses: Sequence[str]) -> list[Field]:
    """The fields but those that name one of these, whatever they are for: private addresses leak in unforeseen places."""
    needles = [address.encode("utf-8", "surrogateescape").lower() for address in addresses]
    return [field for field in fields if field.name in MAY_NAME_THE_SENDER or not any(_names(field.raw.lower(), one) for one in needles)]


def _names(raw: bytes, address: bytes) -> bool:
    """True if the address stands there by itself, not as the end or beginning of a longer one."""
    return address in raw and re.search(rb"(?<![\w.+-])" + re.escape(address) + rb"(?![\w-]|\.\w)", raw) is not None


def _new_id(mail: Inbound, site: SiteRow) -> str:
    return ids.message_id(mail.inbound_id[:32], site.domain)


def _field(name: str, value: str | bytes) -> bytes:
    text = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return name.encode() + b": " + text + b"\r\n"
