"""What one mail says: subject, text and HTML of a recipient, from the compiled templates and the recipient's values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from streams.domain.outgoing.check import Checked
from streams.domain.outgoing.html_body import with_absolute_links, with_inline_css, without_data_images
from streams.domain.outgoing.html_text import html_to_text
from streams.domain.outgoing.templates import RenderFault, render
from streams.domain.outgoing.variables import Values

LINE_BREAKS = re.compile(r"\s*[\x00-\x1f\x7f-\x9f\u2028\u2029]+\s*")
MAX_SUBJECT = 2000  # characters; any mail program cuts it far earlier


@dataclass(frozen=True, slots=True)
class Rendered:
    """`html` is None for a plain body. `gaps` names the variables that were shown but had no value."""

    subject: str
    text: str
    html: str | None
    gaps: frozenset[str]


def render_mail(checked: Checked, values: Values, now: datetime) -> Rendered:
    """Raises RenderFault, which is this recipient's alone."""
    subject, subject_gaps = render(checked.subject, values, now, html=False)
    body, body_gaps = render(checked.body, values, now, html=checked.html)
    domain = checked.request.site.domain
    body = with_absolute_links(without_data_images(body)[0], domain)
    return Rendered(
        subject=_one_line(subject),
        text=html_to_text(body) if checked.html else body,
        html=_styled(body, inline_css=checked.request.inline_css) if checked.html else None,
        gaps=frozenset(subject_gaps | body_gaps),
    )


def _one_line(subject: str) -> str:
    """A subject cannot hold line breaks: a header could begin after one (spec 8, row 23)."""
    if len(subject) > MAX_SUBJECT:
        raise RenderFault(f"the subject is {len(subject)} characters long; {MAX_SUBJECT} are allowed")
    return LINE_BREAKS.sub(" ", subject).strip()


def _styled(body: str, *, inline_css: bool) -> str:
    try:
        return with_inline_css(body) if inline_css else body
    except ValueError as error:
        raise RenderFault(f"its style sheet cannot be put into the elements: {error}") from error
