"""HTML bodies made fit to send, and their text part."""

from __future__ import annotations

import pytest

from streams.domain.outgoing.html_body import is_html, with_absolute_links, with_inline_css, without_data_images
from streams.domain.outgoing.html_text import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div>\n<div>two</div>", "one\ntwo"),
        ("one<br>two<br/>\n<br />three", "one\ntwo\n\nthree"),
        ("<p>one<br></p><p>two</p>", "one\n\ntwo"),
        ("a\n  b\t c", "a b c"),
        ("<B>bold</B>ness", "boldness"),
        ("<ul><li>one<li>two</ul>", "* one\n* two"),
        ("<table><tr><th>Time</th><th>Room</th></tr><tr><td>9</td><td> 101 </td></tr></table>", "Time | Room\n9 | 101"),
        ("<table><tr><td><table><tr><td>in</td></tr></table></td><td>out</td></tr></table>", "in\n\nout"),
        ("<table><tr><td></td><td>9</td><td></td></tr><tr><td></td></tr></table>after", "9\n\nafter"),
        ("a<hr>b", "a\n----------\nb"),
        ('<a href="https://x.org/?a=1&amp;b=2">page</a>', "page (https://x.org/?a=1&b=2)"),
        ("<a href='https://x.org'>https://x.org</a>", "https://x.org"),
        ("<a href=https://x.org><img src=a alt='Logo &amp; name'></a>", "Logo & name (https://x.org)"),
        ('<a href="https://x.org"><img src="a"></a>', "https://x.org"),
        ('<a href="mailto:a@b.c">a@b.c</a>, <a href="mailto:a@b.c">write</a>', "a@b.c, write (a@b.c)"),
        ('<a href="#top">top</a><a name="x">anchor</a>', "topanchor"),
        ('<a href="https://x.org">one <a href="https://y.org">two', "one (https://x.org)two (https://y.org)"),
        ("<pre>a  b\n  c</pre>d", "a  b\n  c\n\nd"),
        ("<head><title>T</title><STYLE>p{}</STYLE></head><script>if (a<b) x()</script>body", "body"),
        ("<style>p{} never closed", ""),
        ("""<script>x = "</style>"</script>body""", "body"),
        ("a<style", "a"),
        ("a<!doctype", "a"),
        ("a<!-- x > y -->b<!DOCTYPE html><?xml?>c", "abc"),
        ("a <b title='1 > 0'>c</b>", "a c"),
        ("3 < 4 and 5 > 4, <3", "3 < 4 and 5 > 4, <3"),
        ("&lt;p&gt; &copy; &#233; &nbsp;x", "<p> \u00a9 \u00e9  x"),
        ("\x01\x02a", "a"),
        ("", ""),
    ],
)
def test_text_of_html(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    ("body", "html"), [("<html>", True), ("x <HTML lang=en>", True), ("<htmlx>", False), ("<p>", False), ("<html\n>", True), ("", False)]
)
def test_what_is_html(body: str, html: bool) -> None:
    assert is_html(body) is html


@pytest.mark.parametrize(
    ("body", "absolute"),
    [
        ('<img src="/a.png">', '<img src="https://d.org/a.png">'),
        ("<IMG SRC = '/a.png' alt='x'>", "<IMG SRC = 'https://d.org/a.png' alt='x'>"),
        ("<a href=/x?y=1>", '<a href="https://d.org/x?y=1">'),
        ('<a href="learn/x">', '<a href="https://d.org/learn/x">'),
        ('<a href="?q=1">', '<a href="https://d.org/?q=1">'),
        ('<td background="/b.png">', '<td background="https://d.org/b.png">'),
        ('<a href="#x"><a href="mailto:a@b.c"><a href="//h/x"><a href=""><a data-href="/x">',) * 2,
        ('src="/x" in prose, <b>href="/y"</b>',) * 2,
        ('<a href="[oops">', '<a href="https://d.org/[oops">'),
        ("<a href=http://[x>",) * 2,
    ],
)
def test_links_become_absolute(body: str, absolute: str) -> None:
    assert with_absolute_links(body, "d.org") == absolute


@pytest.mark.parametrize(
    ("body", "left", "count"),
    [
        ('a<img src="data:image/png;base64,AA">b', "ab", 1),
        ("a<IMG alt='1>0' SRC = 'DATA:x' />b", "ab", 1),
        ("<img src=data:x>", "", 1),
        ('<p style="background:url(data:image/gif;base64,AA)">', '<p style="background:url()">', 1),
        ("url( 'DATA:IMAGE/gif;x' )", "url()", 1),
        ('<img data-src="data:x"> data: prose', '<img data-src="data:x"> data: prose', 0),
        ('<img src="a.png" alt="data:">', '<img src="a.png" alt="data:">', 0),
        ("nothing", "nothing", 0),
    ],
)
def test_images_inside_the_text_go(body: str, left: str, count: int) -> None:
    assert without_data_images(body) == (left, count)


def test_css_moves_onto_the_elements_and_nothing_is_loaded() -> None:
    page = (
        '<html><head><link rel="stylesheet" href="http://127.0.0.1:9/x.css"><style>p{color:red}</style></head><body><p>a</p></body></html>'
    )
    assert '<p style="color: red;">a</p>' in with_inline_css(page)


def test_elements_too_deep_for_the_inliner_are_refused_before_it_sees_them() -> None:
    for deep in ("<div>" * 20_000, "<div></span>" * 20_000, "<div>" * 20_000 + "</div>" * 20_000, "<p><object>" * 20_000):
        with pytest.raises(ValueError, match="more than 400 deep"):
            with_inline_css(deep)
    wide = "<style>p{color:red}</style>" + "<table><tr><td><p>a<br></p></table>" * 2000
    assert with_inline_css(wide).count("color: red") == 2000


@pytest.mark.parametrize(
    "tag",
    [
        '<a title="see href=/x">',
        '<img alt="src = a">',
        '<p data-address="?src=mail">',
        "<a onclick=\"location.href='/x'\">",
        "<a data-address=?src=mail>",
    ],
)
def test_what_looks_like_a_link_within_another_attribute_stays(tag: str) -> None:
    assert with_absolute_links(tag, "yale.learningu.org") == tag


@pytest.mark.parametrize(
    "body",
    [
        "<style " * 50_000,
        "<!" * 100_000,
        "<?" * 100_000,
        "<img " + " src=data:x" * 50_000,
        "url(data:image/" * 50_000,
        '<img src="data:' * 50_000,
        '<a x="' + "href= " * 50_000 + '">',
    ],
)
def test_a_broken_body_costs_no_more_than_another(body: str) -> None:
    """Seconds where a scan starts over at each of them: the test would not end."""
    left, _ = without_data_images(body)
    assert isinstance(html_to_text(with_absolute_links(left, "yale.learningu.org")), str)
