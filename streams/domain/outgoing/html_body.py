"""What is done to an HTML body before it is sent: images inside the text go, relative links become absolute (spec 2.5)."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from urllib.parse import urljoin

import css_inline

HTML = re.compile(r"<html[>\s]", re.IGNORECASE)
# A whole tag with attributes: quoted values may hold ">", unquoted text neither quotes nor "<" (so no scan starts over for long).
TAG = re.compile(r"""<[a-z][^<>"'=]*=[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""", re.IGNORECASE)
# A link with its attribute's name, or another attribute's quoted value: what stands in one is no attribute.
LINK = re.compile(
    r"""(?<=[\s"'])(src|href|background|poster)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)|"[^"]*"|'[^']*'""",
    re.IGNORECASE,
)
IMAGE = re.compile(r"""<img\s[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""", re.IGNORECASE)
DATA_URL = re.compile(r"""url\(\s*(?:"data:image/[^"]*"|'data:image/[^']*'|data:image/[^()]*)\s*\)""", re.IGNORECASE)
ELEMENT = re.compile(r"<(/?[a-z][^\s/>]*)", re.IGNORECASE)
# Void elements, and those whose next one ends them.
CLOSED_BY_THEMSELVES = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option",
})  # fmt: skip
MAX_DEPTH = 400
ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#|$|\{[{%]", re.IGNORECASE)


def is_html(body: str) -> bool:
    """The original's test, on the template's text (spec 5.4): `<html` and then `>` or a space, anywhere."""
    return HTML.search(body) is not None


def without_data_images(body: str) -> tuple[str, int]:
    """The body without `<img src="data:...">`, and with `url()` for `url(data:image/...)`; and how many there were."""
    if "data:" not in body.lower():
        return body, 0
    removed = sum(_is_data_image(tag[0]) for tag in IMAGE.finditer(body))
    if removed:
        body = IMAGE.sub(lambda tag: "" if _is_data_image(tag[0]) else tag[0], body)
    body, urls = DATA_URL.subn("url()", body)
    return body, removed + urls


def _is_data_image(tag: str) -> bool:
    links = (link for link in LINK.finditer(tag) if (link[1] or "").lower() == "src")
    return any(link[3].strip("\"'").lstrip().lower().startswith("data:") for link in links)


def with_absolute_links(body: str, domain: str) -> str:
    """Links and images without a scheme and host point to the site, by https; `//host/x`, `#x` and absolute ones stay."""
    if "<" not in body:
        return body
    absolute = partial(_absolute, f"https://{domain}/")
    return TAG.sub(lambda tag: LINK.sub(absolute, tag[0]), body)


def _absolute(base: str, link: re.Match[str]) -> str:
    if link[1] is None:
        return link[0]
    mark = link[3][0] if link[3][0] in "\"'" else ""
    target = link[3].strip(mark).strip() if mark else link[3]
    if ABSOLUTE.match(target):
        return link[0]
    try:
        whole = base + target[1:] if target[0] == "/" else urljoin(base, target)
    except ValueError:  # "[", say, is no host: left as the author wrote it
        return link[0]
    return f"{link[1]}{link[2]}{mark or chr(34)}{whole}{mark or chr(34)}"


def with_inline_css(body: str) -> str:
    """Style sheets of the body itself moved onto its elements, for the mail programs that drop them. Loads nothing.

    Raises ValueError for what cannot be inlined.
    """
    if _depth(body) > MAX_DEPTH:
        raise ValueError(f"elements stand within each other more than {MAX_DEPTH} deep")
    return css_inline.inline(body, load_remote_stylesheets=False, keep_style_tags=True)


def _depth(body: str) -> int:
    """At least how deep a parser will nest these tags: the inliner overflows its stack somewhere above 500."""
    opened: Counter[str] = Counter()
    depth = deepest = 0
    for name in map(str.lower, ELEMENT.findall(body)):
        if name[0] != "/" and name not in CLOSED_BY_THEMSELVES:
            opened[name] += 1
            depth += 1
            deepest = max(deepest, depth)
        elif name[0] == "/" and opened[name[1:]]:
            opened[name[1:]] -= 1
            depth -= 1
    return deepest
