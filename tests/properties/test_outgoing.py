"""What holds for any request, any recipient and any template."""

from __future__ import annotations

import html
import re
from email.parser import BytesParser
from email.policy import default
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from streams.codec import decode, encode
from streams.domain.compose import compose
from streams.domain.outgoing.check import Checked, check
from streams.domain.outgoing.chunks import split_into_chunks
from streams.domain.outgoing.expansion import Facts, Line, expand
from streams.domain.outgoing.html_body import with_absolute_links, without_data_images
from streams.domain.outgoing.html_text import html_to_text
from streams.domain.outgoing.problems import RequestRefused
from streams.domain.outgoing.request import parse_request
from streams.domain.outgoing.sendto import SEND_TO, targets
from streams.domain.outgoing.templates import RenderFault, TemplateFault, compile_template, render
from streams.domain.outgoing.unsubscribe import BadToken, make_token, read_token
from streams.events import Composed, EmailQueued, MessageRequest
from tests.services.outgoing import KEYRING, NOW, document

CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
MIME = ("MIME-Version", "Content-Type", "Content-Transfer-Encoding")
addresses = st.sampled_from(["a@x.org", "A@X.org", "b@x.org", "c@y.org", " a@x.org ", "", "no address", "x@@y", "\u00e9@x.org"])
names = st.text(max_size=20)
contacts = st.none() | st.fixed_dictionaries({"first_name": names, "last_name": names, "email": addresses})
persons = st.fixed_dictionaries({
    "first_name": names, "last_name": names, "email": addresses, "active": st.booleans(), "guardian": contacts, "emergency": contacts,
    "variables": st.fixed_dictionaries({"program": st.fixed_dictionaries({"full_classes": st.text(max_size=30)})}),
})  # fmt: skip
audiences = st.lists(persons, max_size=12).map(lambda people: [{**person, "user_id": str(i)} for i, person in enumerate(people)])
bodies = st.sampled_from(["constant", "Hi {{ user.name }}", "<html>{{ program.full_classes }}</html>"])
requests = st.fixed_dictionaries({
    "send_to": st.sampled_from(sorted(SEND_TO)), "body": bodies, "subject": st.sampled_from(["News", "{{ user.name }} {{ program.full_classes }}"]),
    "dedupe": st.sampled_from(["auto", True, False]), "recipients": audiences,
})  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def parsed(changes: dict[str, Any]) -> MessageRequest:
    try:
        return parse_request({**document(), **changes}, NOW).request
    except RequestRefused:
        assume(False)
        raise


def lines_of(request: MessageRequest) -> list[Line]:
    checked = check(request, NOW)
    assert isinstance(checked, Checked)
    return list(expand(checked, Facts(lambda _: None, KEYRING), NOW))


@given(requests)
def test_no_line_break_gets_into_a_header(changes: dict[str, Any]) -> None:
    for line in lines_of(parsed(changes)):
        if isinstance(line, EmailQueued) and isinstance(line.content, Composed):
            assert [header for header in line.content.headers if CONTROL.search(header.name + header.value)] == []


@given(requests)
def test_the_lines_add_up(changes: dict[str, Any]) -> None:
    request = parsed(changes)
    lines = lines_of(request)
    assert len({line.email_id for line in lines}) == len(lines)
    for person in request.recipients:
        own = [line for line in lines if line.user_id == person.user_id]
        queued = [line for line in own if isinstance(line, EmailQueued)]
        assert len(own) == (len(targets(person, SEND_TO[request.send_to])) if queued else 1)
        assert person.active or not queued


@given(requests, st.integers(1, 5), st.integers(1, 2000))
def test_chunks_come_to_what_the_whole_comes_to(changes: dict[str, Any], people: int, size: int) -> None:
    whole = parsed(changes)
    chunks = [decode(encode(chunk)) for chunk in split_into_chunks(whole, people, size)]
    assert [chunk.chunk for chunk in chunks] == list(range(chunks[0].chunks))
    assert {chunk.content_hash for chunk in chunks} == {whole.content_hash}
    assert [line for chunk in chunks for line in lines_of(chunk)] == lines_of(whole)


@given(requests)
def test_every_line_survives_the_wire(changes: dict[str, Any]) -> None:
    for line in lines_of(parsed(changes)):
        assert decode(encode(line)) == line


@given(requests, st.dictionaries(st.sampled_from(["reply_to", "special_headers", "sender", "site"]), st.text(max_size=30), max_size=2))
def test_every_queued_mail_can_be_written_and_reads_back(changes: dict[str, Any], texts: dict[str, str]) -> None:
    shaped = {"special_headers": lambda text: {"X-Note": text}, "site": lambda text: {**document()["site"], "group_name": text}}
    request = parsed({**changes, **{name: shaped.get(name, str)(text) for name, text in texts.items()}})
    for line in lines_of(request):
        if isinstance(line, EmailQueued) and isinstance(line.content, Composed):
            message = BytesParser(policy=default.clone(utf8=True)).parsebytes(compose(line, {}))
            assert [name for name, _ in message.items() if name not in MIME] == [header.name for header in line.content.headers]
            body = message.get_body(("plain",))
            assert body is not None
            assert body.get_content().replace("\r\n", "\n").rstrip("\n") == line.content.text.rstrip("\n")


@given(st.dictionaries(st.sampled_from(sorted(document())), json_values, max_size=6))
def test_any_document_is_read_or_refused_with_reasons(changes: dict[str, Any]) -> None:
    try:
        request = parse_request({**document("ann"), **changes}, NOW).request
    except RequestRefused as error:
        assert error.refused.problems
        assert all(problem.text for problem in error.refused.problems)
    else:
        assert decode(encode(request)) == request


@given(json_values)
def test_what_is_no_request_is_refused(value: object) -> None:
    try:
        parse_request(value, NOW)
    except RequestRefused as error:
        assert error.refused.reason == "invalid_request"
    else:
        raise AssertionError("a request without recipients was taken")


pieces = st.sampled_from([
    "{{ x }}", "{{ x.y.0 }}", "{{", "}}", "{% if x %}", "{% elif x == y %}", "{% else %}", "{% endif %}", "{% for a in x %}",
    "{% for a, b in x.items %}", "{% empty %}", "{% endfor %}", "{{ forloop.counter }}", "{% with a=x b=y %}", "{% endwith %}", "{{ a }}",
    "{% cycle 'a' 'b' as c %}", "{% firstof x y as z %}", "{% ifchanged x %}", "{% endifchanged %}", "{% spaceless %}", "{% endspaceless %}",
    "{% comment %}", "{% endcomment %}", "{% verbatim %}", "{% endverbatim %}", "{% now 'Y' %}", "{% widthratio x y 10 %}",
    "{% regroup x by y as g %}", "{% templatetag openblock %}", "{# x #}", "{% include 'x' %}", "text", "<p>", "\n", "{% %}", "{{ x|add:y }}",
    "{{ x|join:', ' }}", "{{ x|date:'Y' }}", "{{ x|default:'z'|upper }}", "{{ x|dictsort:'y' }}", "{{ x|slice:':2' }}", "{{ x|center:5 }}",
    "{{ x|unordered_list }}", "{{ x|stringformat:'d' }}", "{{ x|floatformat:2 }}", "{{ x|nosuch }}", "{{ x|urlize }}", "{{ _('x') }}",
    "{% for %}", "{% with %}", "{% cycle %}", "{% if %}", "{% now %}", "{% regroup %}", "{{ 1.2.3 }}", "{{ -x }}", "{% widthratio %}",
])  # fmt: skip


@given(st.lists(pieces | st.text(max_size=5), max_size=12).map("".join), st.dictionaries(st.sampled_from("xy"), json_values), st.booleans())
def test_a_template_renders_or_says_why_not(source: str, values: dict[str, Any], as_html: bool) -> None:
    try:
        text, _ = render(compile_template(source), values, NOW, html=as_html)
    except TemplateFault as fault:
        assert re.match(r"line \d+, column \d+: ", str(fault))
    except RenderFault as fault:
        assert str(fault)
    else:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)


@given(st.text())
def test_words_in_html_are_the_words_of_the_text_part(words: str) -> None:
    kept = re.sub(r"[\x00-\x08\x0b\x0e-\x1f]", "", words)
    assert html_to_text(f"<html><p>{html.escape(kept)}</p></html>").split() == kept.split()


@given(
    st.text("<>=\"'/! -abp&;#srchefilt:\n")
    | st.lists(st.sampled_from(["<a href=", "'", '"', "<p>", "<img src=", "data:", "/x", ">", " ", "<!--", "<pre>", "</a>"])).map("".join)
)
def test_html_of_any_kind_is_survived(body: str) -> None:
    assert not re.search(r"[\x01-\x04]", html_to_text(body))
    once = with_absolute_links(body, "x.org")
    assert with_absolute_links(once, "x.org") == once
    assert isinstance(without_data_images(body)[0], str)


@given(st.integers(0, 72 * 8 - 1), st.binary(min_size=16, max_size=16), st.uuids(), st.sampled_from(["request", "list", "alias"]))
def test_any_flipped_bit_of_a_token_rejects_it(bit: int, hashed: bytes, email_id: Any, purpose: str) -> None:
    token = make_token(KEYRING, hashed.hex(), purpose, str(email_id))
    said = read_token(KEYRING, token)
    assert (said.address_hash, said.purpose, said.email_id) == (hashed.hex(), purpose, str(email_id))
    flipped = bytearray(token.encode())
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        read_token(KEYRING, flipped.decode("latin-1"))
    except BadToken:
        return
    raise AssertionError("a changed token was taken")
