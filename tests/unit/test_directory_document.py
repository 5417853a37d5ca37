"""DIRECTORY.json: every problem at once, in the writer's words; rules that cannot be used are left out and named."""

from __future__ import annotations

from typing import Any

import pytest

from streams import codec
from streams.domain.routing import rules
from streams.domain.routing.document import DocumentError, directory_from_json, read_document, rows
from streams.topics import declared
from tests.services.inbound import NOW, directory, world

BROKEN: list[tuple[Any, list[str]]] = [
    ([], ["the document must be an object, not a list"]),
    ({}, ["the document lacks 'site' (an object)"]),
    (
        {"site": {"domain": "a_b.org", "support": "x", "bounces": 3}, "people": [{"user_id": 1.5}], "classes": {}, "suppressions": ["x"]},
        [
            "site.domain: 'a_b.org' is no domain name",
            "site.support: 'x' is no address: it needs something@domain",
            "site.bounces must be text, not the number 3",
            "people[0].user_id must be text or a whole number, not the number 1.5",
            "people[0] lacks 'username' (text)",
            "classes must be a list, not an object",
            "suppressions: 'x' is no address: it needs something@domain",
        ],
    ),
    (
        world(classes=[{"class_id": True, "program": {"name": "\ud800"}, "sections": [{"students": [None]}]}]),
        [
            "classes[0].class_id must be a whole number, not true or false",
            "classes[0].program.name must be text, not text that is no Unicode",
            "classes[0].program lacks 'director_email' (text)",
            "classes[0].sections[0] lacks 'section_id' (text or a whole number)",
            "classes[0].sections[0].students must be a list of ids, not a list",
        ],
    ),
    (world(people=[{"user_id": "1", "username": "a"}, {"user_id": 1, "username": "b"}]), ["people: user_id 1 stands there 2 times"]),
    (
        world(redirects=[{"original": "a@b", "destination": "a@x.org,, x"}]),
        [
            "redirects[0].original: an alias is the part before the @, not 'a@b'",
            "redirects[0].destination: no usable address: <empty>, x",
        ],
    ),
]


@pytest.mark.parametrize(("document", "problems"), BROKEN)
def test_every_problem_is_named(document: Any, problems: list[str]) -> None:
    with pytest.raises(DocumentError) as refused:
        read_document(document)
    assert refused.value.problems == problems


def test_keys_that_nothing_reads_are_said() -> None:
    document = world(sites=[], redirects=[{"original": "a", "destination": "a@x.org", "note": "x"}])
    assert read_document(document).warnings == ("redirects[0].note is not known and was not read", "sites is not known and was not read")


BAD_RULES = [
    ({"regex": "("}, "regex '(' cannot be used"),
    ({"regex": r"(a)\1"}, "cannot be used"),
    ({"regex": "(?=a)"}, "cannot be used"),
    ({"regex": "a{1,5000}"}, "cannot be used"),
    ({"regex": "a" * 513}, "longer than 512"),
    ({"handler": "os.system"}, "no handler 'os.system'; there are ClassList, PlainList, SectionList, UserEmail"),
    ({"handler": "ClassList", "regex": "^(.*)$"}, "the regex has 1 groups; the handler takes 2: class_id, kind"),
    ({"who_may_post": "friends"}, "who_may_post is one of"),
    ({"from_email": "a@b, c@d"}, "from_email"),
]


@pytest.mark.parametrize(("change", "said"), BAD_RULES)
def test_a_bad_rule_is_left_out_of_routing_and_refused_at_saving(change: dict[str, Any], said: str) -> None:
    bad = {"seq": 5, "regex": "^x$", "handler": "UserEmail", **change}
    document = world(email_lists=[bad, *world()["email_lists"]])
    usable = directory_from_json(document)
    assert [rule.row.seq for rule in usable.rules] == [10, 20, 30, 40]
    assert said in " ".join(usable.rule_faults)
    with pytest.raises(DocumentError, match="email list 5"):
        list(rows(read_document(document), NOW))


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*a){20}"])
def test_a_pattern_that_would_explode_elsewhere_is_linear_here(pattern: str) -> None:
    usable = directory(email_lists=[{"seq": 1, "regex": pattern, "handler": "UserEmail"}])
    assert usable.rules[0].pattern.search("a" * 5_000 + "!") is not None or pattern != ""


def test_numbers_for_rules_saved_without_one() -> None:
    assert rules.numbered([None]) == [0]
    assert rules.numbered([None, 40, 10, None]) == [45, 40, 10, 50]


def test_the_end_of_a_pattern_is_the_very_end() -> None:
    (rule,) = directory(email_lists=[{"seq": 1, "regex": "^Board$", "handler": "UserEmail"}]).rules
    assert rule.pattern.search("board")
    assert not rule.pattern.search("board\n")


def test_rows_stand_on_their_topics_under_their_keys() -> None:
    document = read_document(world(suppressions=["ann@x.org"], redirects=[{"original": "Board", "destination": "a@x.org"}]))
    found = list(rows(document, NOW))
    assert {topic for topic, _, _ in found} == {"sites", "people", "rosters", "redirects", "email-lists", "suppressions"}
    assert len({(topic, key) for topic, key, _ in found}) == len(found) == 1 + 8 + 1 + 1 + 4 + 1
    for topic, _, event in found:
        assert type(event).__name__ in declared()[topic].events
        assert codec.decode(codec.encode(event)) == event


def test_sections_are_counted_in_the_order_of_their_numbers() -> None:
    classes = world()["classes"]
    classes[0]["sections"] = [{"section_id": 1000}, {"section_id": "99"}, {"section_id": 501}]
    assert [section.section_id for section in directory(classes=classes).classes[123].sections] == ["99", "501", "1000"]


def test_the_rule_set_has_a_name_that_changes_with_it() -> None:
    same, other = directory(), directory(email_lists=world()["email_lists"][:3])
    assert same.rules_hash == directory().rules_hash != other.rules_hash
