"""The plain text of an HTML body: entities decoded, link targets kept, style and script dropped (spec 8, row 22).

One pass over the tags; no tree is built. Total: any text gives a text. White space counts as in a browser: runs of it are
one space, a no-break space stays, blocks begin a line.
"""

from __future__ import annotations

import re
from html import unescape

NAMES = ("style", "script", "title", "template", "noscript")
DROPPED = rf"(?i:{'|'.join(NAMES)})\b"
# An element ends at the end of its own name; one that does not end takes the rest, as in a browser.
ELEMENTS = "|".join(rf"(?i:{name})\b[^>]*(?:>.*?(?:</(?i:{name})\s*>|\Z)|\Z)" for name in NAMES)
# The common tag first: this expression is half of the cost of a text part.
TOKEN = re.compile(
    rf"""<(?:(/?(?!{DROPPED})[a-zA-Z][a-zA-Z0-9:-]*)((?:\s|/)[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*)?>"""
    rf"""|!--.*?(?:-->|\Z)|{ELEMENTS}|[!?][^>]*(?:>|\Z))""",
    re.DOTALL,
)
ATTRIBUTE = {
    name: re.compile(rf"""(?<![\w-]){name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE) for name in ("href", "alt")
}
SPACES = str.maketrans("\t\r\n\f", "    ")
# Marks in the text until it is laid out. No text brings its own: they are no characters of HTML, and `unescape` drops them.
LINE, PARAGRAPH, CELL, BREAK = "\x01", "\x02", "\x03", "\x04"
KEPT_SPACE = "\xa0"
MARKS = re.compile(r"[\x01-\x04]")
BREAKS = re.compile(r" ?[\x01\x02\x04][ \x01-\x04]*")
CELLS = re.compile(r" ?\x03 ?")

BLOCKS = {
    **dict.fromkeys(("div", "tr", "ul", "ol", "dl", "dt", "dd", "section", "article", "header", "footer", "nav", "main"), LINE),
    **dict.fromkeys(("address", "center", "form", "fieldset", "figure", "figcaption", "caption", "thead", "tbody", "tfoot"), LINE),
    **dict.fromkeys(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "table", "pre"), PARAGRAPH),
}
# What stands in the text for a tag; any other tag leaves nothing.
MARK = {
    **BLOCKS,
    **{f"/{name}": mark for name, mark in BLOCKS.items()},
    "br": BREAK,
    "/br": BREAK,
    "hr": f"{LINE}----------{LINE}",
    "li": f"{LINE}* ",
    "/li": LINE,
    "td": CELL,
    "th": CELL,
}
SHOWN_SCHEMES = ("http://", "https://", "mailto:", "tel:")


def html_to_text(html: str) -> str:
    """The text with LF line ends, trimmed."""
    parts = TOKEN.split(MARKS.sub("", html))
    out = [parts[0]]
    links: list[tuple[int, str]] = []
    verbatim = False
    for i in range(1, len(parts), 3):
        tag = (parts[i] or "").lower()
        if tag in ("a", "/a"):
            _link(out, links, _attribute("href", parts[i + 1]))
        elif tag == "img":
            out.append(_attribute("alt", parts[i + 1]))
        elif tag in ("pre", "/pre"):
            verbatim = tag == "pre"
        if tag in MARK:
            out.append(MARK[tag])
        out.append(_verbatim(parts[i + 2]) if verbatim else parts[i + 2])
    _link(out, links, "")
    return _laid_out(unescape("".join(out)))


def _attribute(name: str, attributes: str | None) -> str:
    found = ATTRIBUTE[name].search(attributes) if attributes else None
    return next(filter(None, found.groups()), "").strip() if found else ""


def _verbatim(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", BREAK).replace(" ", KEPT_SPACE)


def _link(out: list[str], links: list[tuple[int, str]], target: str) -> None:
    """An opening <a> is remembered; at the next <a> or </a> its target follows its label, unless they are the same."""
    if links:
        start, before = links.pop()
        label = _one_spaced(MARKS.sub(" ", "".join(out[start:]))).strip()
        shown = before.removeprefix("mailto:")
        if before.lower().startswith(SHOWN_SCHEMES) and label not in (before, shown):
            out.append(f" ({shown})" if label else shown)
    if target:
        links.append((len(out), target))


def _laid_out(text: str) -> str:
    lines = BREAKS.sub(_line_ends, _one_spaced(text)).split("\n")
    text = "\n".join([line.strip(f" {CELL}") for line in lines]).strip("\n")
    return CELLS.sub(" | ", text).replace(KEPT_SPACE, " ")


def _one_spaced(text: str) -> str:
    text = text.translate(SPACES)
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _line_ends(breaks: re.Match[str]) -> str:
    marks = breaks[0]
    return "\n" * max(marks.count(BREAK), 2 if PARAGRAPH in marks else 1)
