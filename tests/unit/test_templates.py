"""What admins' templates can say, and what they can never do (reliability rows A-10 and A-11)."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.outgoing.templates import MAX_OUTPUT, RenderFault, TemplateFault, compile_template, render
from tests.services.outgoing import NOW

VALUES: dict[str, Any] = {
    "user": {"name": "Bob O'Neil"},
    "program": {
        "date": "Jul. 07, 2222",
        "nothing": None,
        "schedule": {"html": "<b>9 &amp; 10</b>"},
        "rows": [{"title": "Knots", "day": "Sat"}, {"title": "Maps", "day": "Sat"}, {"title": "Code", "day": "Sun"}],
        "count": 1234567,
        "rooms": [{"html": "<i>A&amp;B</i>"}, "<C>", {"html": None}],
        "group": {"one": 1, "two": {"html": "2"}},
    },
}


def text_of(source: str, *, html: bool = False) -> str:
    return render(compile_template(source), VALUES, NOW, html=html)[0]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ user.name }}", "Bob O'Neil"),
        ("{{ program.schedule }}", "9 & 10"),
        ("{{ program.rows.1.title }}{{ program.rows.9.title }}", "Maps"),
        ("{{ program.nothing }}{{ program.nothing|upper }}{{ program.gone }}", ""),
        ("{{ program.nothing|default:'-' }}{{ program.nothing|default_if_none:'+' }}{{ program.nothing|yesno:'a,b,c' }}", "-+c"),
        ("{% if program.nothing is None %}none{% endif %}", "none"),
        ("{% for r in program.rows %}{{ forloop.counter }}{{ r.title }}{% cycle ',' ';' %}{% endfor %}", "1Knots,2Maps;3Code,"),
        ("{% for name, value in user.items %}{{ name }}={{ value }}{% endfor %}", "name=Bob O'Neil"),
        ("{% regroup program.rows by day as days %}{% for d in days %}{{ d.grouper }}{{ d.list|length }}{% endfor %}", "Sat2Sun1"),
        ("{{ program.rooms|join:' ' }}; {{ program.rooms|first }}; {{ program.group }}{{ program.group.two }}", "A&B <C> ; A&B; 2"),
        ("{% with n=user.name %}{{ n|upper }}{% endwith %}{{ n }}", "BOB O'NEIL"),
        ("{% now 'Y-m-d' %}{% now 'H' as hour %}{{ hour }}", "2026-11-2100"),
        ("{% widthratio 1 3 100 %}{% firstof program.nothing user.name %}{% templatetag openblock %}", "33Bob O'Neil{%"),
        ("{% for x in program.count %}x{% empty %}empty{% endfor %}", "empty"),
        ("{{ program.count }} {{ 1.50|floatformat:2 }} {{ program.rows|length|stringformat:'03d' }}", "1234567 1.50 003"),
        ("{{ program.rows|first|dictsort:'x' }}", ""),
        ("{# note #}{% comment %}x{% endcomment %}{% verbatim %}{{ x }}{% endverbatim %}{{ open", "{{ x }}{{ open"),
        ("a\r\nb\rc\x00\x1b", "a\nb\nc"),
        ("\u202eRTL \U0001f600", "\u202eRTL \U0001f600"),
    ],
)  # fmt: skip
def test_plain_text(source: str, text: str) -> None:
    assert text_of(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ user.name }}", "Bob O&#x27;Neil"),
        ("{{ program.schedule }}", "<b>9 &amp; 10</b>"),
        ("{{ program.rooms|join:'<br>' }}", "<i>A&amp;B</i><br>&lt;C&gt;<br>"),
        ("{% for room in program.rooms %}{{ room }}{% endfor %}", "<i>A&amp;B</i>&lt;C&gt;"),
        ("{{ program.schedule.html }}", "&lt;b&gt;9 &amp;amp; 10&lt;/b&gt;"),
        ("{{ user.name|linebreaksbr }}{{ user.name|default:'<b>' }}", "Bob O&#x27;NeilBob O&#x27;Neil"),
    ],
)
def test_values_are_escaped_in_html_alone(source: str, text: str) -> None:
    assert text_of(source, html=True) == text


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("a\nb {% include 'x' %}", r"line 2, column 3: the tag {% include %} cannot be used"),
        ("{% load static %}", "load"),
        ("{% extends 'x' %}", "extends"),
        ("{% debug %}{% csrf_token %}", "debug"),
        ("{% autoescape off %}x{% endautoescape %}", "autoescape"),
        ("{% lorem 100000000 w %}", "lorem"),
        ("{{ user.name|safe }}", "the filter safe cannot be used"),
        ("{{ user|pprint }}", "pprint"),
        ("{{ program.rows|random }}", "random"),
        ("{{ ''.__class__ }}", "Could not parse"),
        ("{{ user.__class__ }}", "underscore"),
        ("{{ x|attr:'y' }}", "attr"),
        ("{% if x %}", "Unclosed tag"),
        ("x\n\n  {% endif %}", "line 3, column 3"),
        ("{{ }}", "Empty variable"),
        ("{% if " + "not " * 5000 + "x %}{% endif %}", "too deep"),
        ("{% if x %}" * 5000 + "{% endif %}" * 5000, "too deep"),
        ("{% if x %}" * 60 + "{% endif %}" * 60, "too deep"),
    ],
)
def test_refused_when_compiled(source: str, fault: str) -> None:
    with pytest.raises(TemplateFault) as error:
        compile_template(source)
    assert fault in str(error.value)
    assert str(error.value).startswith("line ")


@pytest.mark.parametrize(
    "source",
    [
        "{{ user.name.upper }}{{ user.name.format }}{{ user.keys }}{{ user.clear }}{{ program.rows.pop }}{{ program.rows.reverse }}",
        "{{ user.name.real }}{{ program.count.bit_length }}{{ forloop.parentloop }}",
    ],
)
def test_nothing_is_ever_called(source: str) -> None:
    before = repr(VALUES)
    assert text_of(source) == ""
    assert repr(VALUES) == before


LOOP = "{% for a in 'x'|ljust:1000 %}"


@pytest.mark.parametrize(
    "source",
    [
        LOOP * 4 + "x" + "{% endfor %}" * 4,
        LOOP + "x" * 10_000 + "{% endfor %}",
        "{% with a='abcdefghij' %}" + "{% with a=a|add:a %}" * 40 + "{% endwith %}" * 41,
        "{{ 'x'|center:999999999 }}",
        "{{ 'x'|rjust:'9999999999999999999999999999' }}",
        "{{ 1|stringformat:'0999999999d' }}",
        "{{ 1|floatformat:999999999 }}",
        "{{ big|make_list|join:big }}",
        "{{ 5|divisibleby:0 }}",
        "{% for a, b in program.rows.0.title %}x{% endfor %}",
        "x" * (MAX_OUTPUT + 1),
        "{{ slashes" + "|addslashes" * 40 + " }}",
        "{{ big" + "|unordered_list" * 40 + " }}",
        LOOP + "{% now '" + "Y" * 10_000 + "' %}{% endfor %}",
    ],
    ids=range(14),
)
def test_a_runaway_ends_as_one_recipients_fault(source: str) -> None:
    with pytest.raises(RenderFault):
        render(compile_template(source), {**VALUES, "big": "x" * 2000, "slashes": "\\" * 100}, NOW, html=True)


def test_what_tags_set_is_forgotten_after_each_mail() -> None:
    compiled = compile_template("{{ kept }}{% firstof 'x' as kept %}{{ kept }}")
    assert [render(compiled, VALUES, NOW, html=False)[0] for _ in range(2)] == ["x", "x"]


def test_gaps_are_the_names_that_were_shown_without_a_value() -> None:
    source = "{{ program.nothing }}{{ program.gone }}{{ user.name }}{{ program.nothing|default:'-' }}{% if program.quiet %}{% endif %}"
    assert render(compile_template(source), VALUES, NOW, html=False)[1] == {"program.nothing", "program.gone"}


def test_references_are_what_the_template_does_not_set_itself() -> None:
    source = (
        "{% for a, b in list.items %}{{ a }}{{ forloop.counter }}{{ other|add:more }}{% endfor %}{{ a }}"
        "{% with x=y z=1 %}{{ x }}{{ z }}{% endwith %}{% if p and not q.r|default:s %}{% elif t == 'u' %}{% endif %}"
        "{% cycle c1 c2 as c %}{{ c }}{% firstof f as first %}{{ first }}{% regroup g by h as groups %}{{ groups }}"
        "{% ifchanged i %}{{ j }}{% else %}{{ k }}{% endifchanged %}{% widthratio l m n as o %}{{ o }}{% now 'Y' as year %}{{ year }}"
        "{% spaceless %}{{ v }}{% endspaceless %}"
    )
    source += "{% if p %}{% firstof f as late %}{% endif %}{{ late }}"
    paths = [".".join(reference.path) for reference in compile_template(source).references]
    assert paths == [
        "list.items",
        "other",
        "more",
        "a",
        "y",
        "p",
        "q.r",
        "s",
        "t",
        "c1",
        "c2",
        "f",
        "g",
        "i",
        "j",
        "k",
        "l",
        "m",
        "n",
        "v",
        "p",
        "f",
    ]


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("{% include 'x' %}\n{{ a|nofilter }}{{ b| }}", ["line 1, column 1", "line 2, column 1", "line 2, column 17"]),
        ("{% autoescape off %}{{ a }}{% endautoescape %}", ["line 1, column 1"]),  # its end is none of its own
        ("{% if x %}{% load y %}{{ a|nofilter }}{% endif %}", ["line 1, column 11", "line 1, column 23"]),
        ("{% if x = 1 %}{% else %}{% endif %}{% load y %}", ["line 1, column 1"]),  # who knows what stands in it
        ("{% load y %}" * 1000, [f"line 1, column {1 + 12 * number}" for number in range(20)]),
    ],
)
def test_every_fault_that_stands_by_itself_is_named_at_once(source: str, places: list[str]) -> None:
    with pytest.raises(TemplateFault) as error:
        compile_template(source)
    assert [text.partition(":")[0] for text in error.value.texts] == places


@pytest.mark.parametrize("begin", ["{{", "{%", "{#"])
def test_many_tags_that_do_not_end_are_refused_before_anyone_looks_for_their_ends(begin: str) -> None:
    with pytest.raises(TemplateFault, match=r"line 2, column 1: 20000 tags or variables do not end"):
        compile_template("{{ user.name }}\n" + begin * 20_000)


def test_what_can_be_read_beside_the_faults_is_read() -> None:
    with pytest.raises(TemplateFault) as error:
        compile_template("{% load y %}{{ program.nosuch }}{{ a|nofilter }}")
    assert error.value.rest is not None
    (reference,) = error.value.rest.references
    assert (reference.path, error.value.rest.position(reference)) == (("program", "nosuch"), "line 1, column 13")
