"""Who gets a copy, who does not and why; who may post; aliases and loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streams.domain.addresses import address_hash
from streams.domain.routing.decide import decide
from streams.domain.routing.handlers import HANDLERS, Accepted, Asked, Handler
from streams.domain.routing.index import directory_of
from streams.domain.routing.model import Decision, Member
from streams.domain.routing.posting import POLICIES
from streams.domain.routing.rules import POSTING
from streams.events import EmailListRow, SiteRow
from tests.services.inbound import DOMAIN, content, directory, mail, world

CLASS = r"^\w(\d+)-(class|teachers|students)$"


def routed(to: str, *head: str, sender: str | None = "tess@x.org", mail_from: str | None = None, **changes: Any) -> Decision:
    return decide(mail(content(*head, sender=sender), to, sender or "" if mail_from is None else mail_from), directory(**changes))


def people_of(decision: Decision) -> list[str]:
    return [message.recipient for message in decision.messages]


def test_members_who_cannot_get_a_copy_are_named_with_the_reason() -> None:
    people = world()["people"]
    people += [
        {"user_id": "20", "username": "double", "email": "ANN@x.org"},
        {"user_id": "21", "username": "odd", "email": "no address"},
        {"user_id": "22", "username": "off", "email": "off@x.org"},
    ]
    classes = world()["classes"]
    classes[0]["sections"] = [{"section_id": 1, "students": ["1", "4", "6", "20", "21", "22", "99", "1"]}]
    decision = routed("m123-students", people=people, classes=classes, suppressions=["OFF@x.org"])
    assert people_of(decision) == ["info@yale.learningu.org", "ann@x.org"]
    assert [(skip.user_id, skip.reason) for skip in decision.skipped] == [
        ("4", "no_address"),
        ("6", "inactive"),
        ("20", "duplicate"),
        ("21", "invalid_address"),
        ("22", "suppressed"),
        ("99", "no_address"),
    ]


@pytest.mark.parametrize(
    ("place", "to", "reason"),
    [("class", "m123-class", "class_not_accepted"), ("section", "m123s1-class", "class_not_accepted")],
)
def test_a_class_that_does_not_take_place_gets_no_mail(place: str, to: str, reason: str) -> None:
    classes = world()["classes"]
    (classes[0] if place == "class" else classes[0]["sections"][0])["status"] = "cancelled"
    decision = routed(to, classes=classes)
    assert (decision.kind, decision.reason, people_of(decision)) == ("notice", reason, ["tess@x.org"])


def test_a_cancelled_section_is_left_out_of_its_class() -> None:
    classes = world()["classes"]
    classes[0]["sections"][0]["status"] = "cancelled"
    assert people_of(routed("m123-students", classes=classes)) == ["info@yale.learningu.org", "bob@x.org", "cy@x.org"]


POSTS = [
    ("default", "bob@x.org", "deliver", "accepted"),
    ("default", "x@y.org", "drop", "stranger"),
    ("default", "ina@x.org", "drop", "stranger"),  # a deactivated account is none
    ("accounts", "eve@x.org", "deliver", "accepted"),
    ("members", "eve@x.org", "notice", "may_not_post"),
    ("members", "bob@x.org", "deliver", "accepted"),
    ("members", "x@y.org", "drop", "stranger"),
    ("staff", "bob@x.org", "notice", "may_not_post"),
    ("staff", "ada@x.org", "deliver", "accepted"),
    ("staff", "info@yale.learningu.org", "deliver", "accepted"),  # the program's director
    ("hold", "x@y.org", "hold", "stranger"),
    ("hold", "bob@x.org", "deliver", "accepted"),
    ("anyone", "x@y.org", "deliver", "accepted"),
    ("anyone", None, "hold", "from_missing"),
]


@pytest.mark.parametrize(("policy", "sender", "kind", "reason"), POSTS)
def test_who_may_post(policy: str, sender: str | None, kind: str, reason: str) -> None:
    lists = [{"seq": 20, "regex": CLASS, "handler": "ClassList", "who_may_post": policy}]
    decision = routed("m123-class", sender=sender, mail_from=sender or "x@y.org", email_lists=lists)
    assert (decision.kind, decision.reason, decision.seq) == (kind, reason, 20)


def test_every_policy_that_a_rule_may_name_is_one() -> None:
    assert set(POSTING) == {"default", "anyone", *POLICIES}


def redirects(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"original": original, "destination": destination} for original, destination in pairs]


def test_an_alias_of_the_site_is_resolved_in_place() -> None:
    decision = routed("all", redirects=redirects(("all", f"m123-teachers@{DOMAIN}, a@x.org, tess+x@{DOMAIN}")))
    assert people_of(decision) == ["info@yale.learningu.org", "tess@x.org", "a@x.org"]
    assert [(skip.address, skip.reason) for skip in decision.skipped] == [("tess@x.org", "duplicate")]
    assert decision.messages[0].header.startswith(
        b"Delivered-To: m123-teachers@yale.learningu.org\r\nDelivered-To: all@yale.learningu.org\r\n"
    )


def test_a_stranger_passes_the_redirect_but_not_the_list_behind_it() -> None:
    decision = routed("all", sender="x@y.org", redirects=redirects(("all", f"m123-class@{DOMAIN}, a@x.org")))
    assert (people_of(decision), [skip.reason for skip in decision.skipped]) == (["a@x.org"], ["stranger"])


def test_a_held_list_behind_an_alias_holds_the_mail() -> None:
    lists = [*world()["email_lists"]]
    lists[1]["admin_hold"] = True
    decision = routed("all", email_lists=lists, redirects=redirects(("all", f"a@x.org, m123-class@{DOMAIN}")))
    assert (decision.kind, decision.reason, decision.messages) == ("hold", "admin_hold", ())


@pytest.mark.parametrize(
    ("pairs", "people", "reasons"),
    [
        ([("a", f"b@{DOMAIN}, x@x.org"), ("b", f"a@{DOMAIN}")], ["x@x.org"], ["alias_cycle"]),
        ([("a", f"a@{DOMAIN}")], ["tess@x.org"], []),  # nobody left: the sender is told
        ([("a", f"b@{DOMAIN}, c@{DOMAIN}"), ("b", f"c@{DOMAIN}"), ("c", "x@x.org")], ["x@x.org"], ["duplicate"]),
        ([*((f"a{n}", f"a{n + 1}@{DOMAIN}") for n in range(5000)), ("a", f"a0@{DOMAIN}, x@x.org")], ["x@x.org"], ["too_many_aliases"]),
    ],
    ids=["cycle", "self", "diamond", "chain"],
)
def test_aliases_that_lead_nowhere_end(pairs: list[tuple[str, str]], people: list[str], reasons: list[str]) -> None:
    decision = routed("a", redirects=redirects(*pairs))
    assert people_of(decision) == people
    assert [skip.reason for skip in decision.skipped] == reasons or decision.kind == "notice"


def test_a_mail_that_was_at_the_inner_list_does_not_go_there_again() -> None:
    decision = routed("all", f"Delivered-To: m123-class@{DOMAIN}", redirects=redirects(("all", f"m123-class@{DOMAIN}, a@x.org")))
    assert (people_of(decision), [skip.reason for skip in decision.skipped]) == (["a@x.org"], ["loop"])


STOPPED = [
    (["Auto-Submitted: auto-replied (vacation)"], "auto_submitted"),
    (["Auto-Submitted: (from a robot) auto-generated; owner=x"], "auto_submitted"),
    (["Auto-Submitted: ((("], "auto_submitted"),
    (["Auto-Submitted: No"], None),
    (["Auto-Submitted: (typed (by hand; really)) no; by=me"], None),
    (["Precedence: Bulk"], "precedence"),
    (["Precedence: list", "List-Id: <a.evil.org>"], "precedence"),
    (["Precedence: list", "List-Id: Ours <m9-class.yale.learningu.org>"], None),
    (["Precedence: first-class"], None),
    ([f"Received: from {n}" for n in range(51)], "too_many_hops"),
    ([f"Received: from {n}" for n in range(50)], None),
    (["X-ESP-SENDER: version 2"], None),
]


@pytest.mark.parametrize(("head", "reason"), STOPPED)
def test_machines_and_loops_stop(head: list[str], reason: str | None) -> None:
    decision = routed("m123-class", *head)
    assert (decision.kind, decision.reason) == (("drop", reason) if reason else ("deliver", "accepted"))


def test_the_null_sender_posts_to_no_list() -> None:
    assert routed("m123-class", mail_from="").reason == "null_sender"
    assert routed("board", mail_from="", redirects=redirects(("board", "a@x.org"))).kind == "deliver"


NOT_ANSWERED = [
    ([], "tess@x.org", "x@other.org"),  # the envelope says another domain: perhaps forged
    ([], "tess@x.org", ""),
    (["List-Id: <a.b.org>"], "tess@x.org", "tess@x.org"),
    (["X-Auto-Response-Suppress: All"], "tess@x.org", "tess@x.org"),
    ([], "x@y.org", "x@y.org"),
    ([], "websupport@learningu.org", "websupport@learningu.org"),
]


@pytest.mark.parametrize(("head", "sender", "mail_from"), NOT_ANSWERED)
def test_no_backscatter(head: list[str], sender: str, mail_from: str) -> None:
    decision = routed("nobody", *head, sender=sender, mail_from=mail_from)
    assert (decision.kind, decision.reason, decision.messages) == ("drop", "unknown_recipient", ())


def test_a_notice_does_not_tell_who_has_an_account() -> None:
    told = [(decision.messages[0].body or b"") for decision in (routed("ann", sender="bob@x.org"), routed("nobody", sender="bob@x.org"))]
    assert told[0].replace(b"ann@", b"nobody@") == told[1]


def test_a_site_with_an_international_name_is_found_in_either_spelling() -> None:
    place = directory(site={"domain": "Schüler.example.org", "support": "s@x.org", "bounces": "b@x.org"})
    for domain in ("schüler.example.org", "xn--schler-5ya.example.org"):
        assert decide(mail(content(), f"m123-class@{domain}"), place).kind == "deliver"


def test_blanks_around_an_address_of_the_directory_are_no_part_of_the_envelope() -> None:
    changes = world()
    changes["site"].update(support=" s@x.org ", bounces="b@x.org\t", default=" i@x.org")
    changes["people"] = [{**person, "email": f" {person['email']} "} for person in changes["people"]]
    changes["classes"][0]["program"]["director_email"] = " d@x.org "
    envelopes = [
        (message.envelope_from, message.recipient)
        for to in ("m123-class", "nobody", "info", "tess")
        for message in routed(to, **changes).messages
    ]
    assert {address.strip() for pair in envelopes for address in pair} >= {"", "b@x.org", "i@x.org", "d@x.org", "tess@x.org", "cy@x.org"}
    assert [pair for pair in envelopes if pair != tuple(map(str.strip, pair))] == []


def test_a_sender_is_told_once_a_day() -> None:
    told = {address_hash("tess@x.org")}
    assert decide(mail(content(), "nobody"), directory(), told=told).kind == "drop"


REFUSED = ["x@gmail.com", "x", "", "@yale.learningu.org", "a@evil.org@yale.learningu.org", '"a@evil.org"@yale.learningu.org']
REFUSED += [
    "a%evil.org@yale.learningu.org",
    "evil.org!a@yale.learningu.org",
    "<@a.org:b@evil.org>",
    "a@[127.0.0.1]",
    "a b@yale.learningu.org",
    "+tag@yale.learningu.org",
]
REFUSED += ["\udcff@yale.learningu.org", "m123-class@sub.yale.learningu.org", "m123-class@yale.learningu.org.evil.org"]


@pytest.mark.parametrize("to", REFUSED)
def test_nothing_is_relayed(to: str) -> None:
    decision = decide(replace(mail(content(), "info"), rcpt_to=to), directory())
    assert (decision.kind, decision.reason, decision.messages) == ("reject", "relay_denied", ())


INERT = ["`id`", "${run{/bin/id}}", "{{7*7}}", "{0}", "'or'1'='1--", "..", "ａnn", "a" * 64, "$s", "*", "|cat", "/etc/passwd"]


@pytest.mark.parametrize("local", INERT)
def test_local_parts_are_inert(local: str) -> None:
    decision = routed(local)
    assert decision.kind in ("notice", "reject")
    for message in decision.messages:
        assert message.subject == f"Undeliverable mail to {local.lower()}@{DOMAIN}"
        assert f"Your mail to {local.lower()}@{DOMAIN}".encode() in (message.body or b"")


def test_a_sites_own_handler_works_and_may_fail() -> None:
    def everyone(asked: Asked) -> Accepted:
        return Accepted(tuple(Member(person.first_name, person.email) for person in asked.directory.people.values() if person.active))

    def broken(asked: Asked) -> Accepted:
        raise RuntimeError(asked.to.local)

    handlers = {**HANDLERS, "Everyone": Handler(everyone), "Broken": Handler(broken)}
    rules = [
        EmailListRow(seq, "^all$", name, None, False, False, None, None) for seq, name in ((1, "Broken"), (2, "Everyone"), (3, "Nosuch"))
    ]
    everybody = directory_of(
        sites=[SiteRow(DOMAIN, "", "s@x.org", "b@x.org", "", [])],
        email_lists=rules,
        people=directory().people.values(),
        rosters=[],
        redirects=[],
        handlers=handlers,
    )
    decision = decide(mail(content(), "all"), everybody)
    assert (decision.seq, len(decision.messages)) == (2, 6)
    assert [fault.partition(":")[0] for fault in decision.faults] == ["email list 3", "email list 1"]


def test_usernames_that_differ_in_case_only_are_declined() -> None:
    people = [*world()["people"], {"user_id": "30", "username": "TESS", "email": "other@x.org", "roles": ["Teacher"]}]
    assert routed("tess", sender="ada@x.org", people=people).reason == "ambiguous_username"


@pytest.mark.parametrize("local", ["postmaster", "Abuse", "postmaster+x"])
@pytest.mark.parametrize(("sender", "mail_from"), [("stranger@bad.example", None), ("stranger@bad.example", ""), ("tess@x.org", None)])
def test_postmaster_and_abuse_take_mail_from_anyone(local: str, sender: str, mail_from: str | None) -> None:
    """RFC 5321, section 4.5.1; RFC 2142; robots report there, too (RFC 5965)."""
    decision = routed(local, "Auto-Submitted: auto-generated", "Precedence: bulk", sender=sender, mail_from=mail_from)
    assert (decision.kind, people_of(decision)) == ("deliver", ["websupport@learningu.org"])


def test_a_redirect_says_otherwise() -> None:
    redirects = [{"original": "Postmaster", "destination": "pam@x.org"}]
    assert people_of(routed("postmaster", redirects=redirects)) == ["pam@x.org"]
    looped = [{"original": "abuse", "destination": f"abuse@{DOMAIN}"}]
    assert routed("abuse", redirects=looped).reason == "alias_cycle"
    assert routed("abuse", f"Delivered-To: abuse@{DOMAIN}").reason == "loop"


def test_a_mail_that_comes_back_ends() -> None:
    (to_director, *_) = routed("m123-class").messages
    again = mail(to_director.header + b"\r\nHello.\r\n", "m123-class")
    assert (decide(again, directory()).kind, decide(again, directory()).reason) == ("drop", "loop")


def test_a_list_copy_for_an_alias_of_the_site_goes_on_to_its_people() -> None:
    (to_director, *_) = routed("m123-class").messages
    assert to_director.recipient == "info@yale.learningu.org"
    decision = decide(mail(to_director.header + b"\r\nHello.\r\n", "info", "emailbounces@learningu.org"), directory())
    assert people_of(decision) == ["info@learningu.org"]


def test_a_crowd_is_not_shown_in_every_copy() -> None:
    people = [{"user_id": str(n), "username": f"u{n}", "email": f"u{n}@x.org", "roles": ["Teacher"]} for n in range(600)]
    classes = [{**world()["classes"][0], "teachers": [str(n) for n in range(600)]}]
    lists = [{"seq": 20, "regex": CLASS, "handler": "ClassList", "cc_all": True}]
    decision = routed("m123-class", sender="u1@x.org", people=people, classes=classes, email_lists=lists)
    assert len(decision.messages) == 601
    assert b"To: u5@x.org\r\n" in decision.messages[6].header
