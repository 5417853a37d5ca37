"""The files of a request document: claim checks of bodies that are stored already."""

from __future__ import annotations

import re

from streams.domain.outgoing.fields import Fields, Notes
from streams.domain.outgoing.people import MAX_NAME
from streams.events import Attachment, ClaimCheck

MAX_ATTACHMENTS = 50
MAX_BYTES = 18_000_000  # of all together: 25 MB as sent, in Base64, which is what most servers take
SHAPES = {
    "filename": re.compile(r"[^\x00-\x1f\x7f/\\]+"),
    "content_type": re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+"),  # RFC 6838, section 4.2
    "content_id": re.compile(r"[!-;=?-~]+"),  # no angle brackets: the writer of the mail adds them
}


def read_attachments(fields: Fields, notes: Notes) -> list[Attachment]:
    """Every file of the request; none is absent or null."""
    if fields.raw("attachments") is None:
        return []
    items = fields.array("attachments")
    if len(items) > MAX_ATTACHMENTS:
        fields.problem("attachments", f"has {len(items)} files; {MAX_ATTACHMENTS} are allowed")
    found = [_attachment(Fields(item, f"attachments[{i}]", notes)) for i, item in enumerate(items[:MAX_ATTACHMENTS])]
    size = sum(attachment.body.size for attachment in found)
    if size > MAX_BYTES:
        fields.problem("attachments", f"have {size} bytes together; {MAX_BYTES} are allowed")
    return found


def _attachment(fields: Fields) -> Attachment:
    attachment = Attachment(
        filename=fields.text("filename", MAX_NAME, required=True),
        content_type=fields.text("content_type", MAX_NAME, required=True),
        content_id=fields.optional_text("content_id", MAX_NAME),
        body=_claim(fields.object("body")),
    )
    fields.warn_of_unknown()
    for key, shape in SHAPES.items():
        value = getattr(attachment, key)
        if value and not shape.fullmatch(value):
            fields.problem(key, f"cannot be {value[:100]!r}")
    return attachment


def _claim(fields: Fields) -> ClaimCheck:
    size = fields.raw("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        fields.problem("size", "must be the number of bytes")
        size = 0
    claim = ClaimCheck(key=fields.text("key", MAX_NAME, required=True), sha256=fields.text("sha256", MAX_NAME, required=True), size=size)
    fields.warn_of_unknown()
    return claim
