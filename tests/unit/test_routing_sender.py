"""Who a mail is from, and whether that may be believed (reliability.md, rows M-01, M-09, R-09, I-17)."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.addresses import Mailbox
from streams.domain.routing.author import Unclear, author, parse_from
from streams.domain.routing.decide import decide
from streams.domain.routing.fields import scan
from streams.domain.routing.words import decoded, mailbox
from tests.services.inbound import content, directory, mail, world

CLEAR = [
    ("tess@x.org", "", "tess@x.org"),
    ("<tess@x.org>", "", "tess@x.org"),
    ("Tess Ted <tess@x.org>", "Tess Ted", "tess@x.org"),
    ('"Ted, Tess" <tess@x.org>', "Ted, Tess", "tess@x.org"),
    ('"tess@y.org" <tess@x.org>', "tess@y.org", "tess@x.org"),  # quoted: a name, whatever it says
    ("tess@x.org (Tess (of Yale))", "", "tess@x.org"),
    ("(a, b) Tess <tess@x.org>", "Tess", "tess@x.org"),
    ('tess@x.org (Tess "T." Ted)', "", "tess@x.org"),
    ("=?utf-8?q?T=C3=A9ss?= <tess@x.org>", "Téss", "tess@x.org"),
    ("Téss <tess@x.org>", "Téss", "tess@x.org"),
    ("[Yale] Tess J. <tess@x.org>", "[Yale] Tess J.", "tess@x.org"),
    ("=?utf-8?q?a=0D=0ABcc=3A_evil=40y.org?= <tess@x.org>", "a Bcc: evil@y.org", "tess@x.org"),
]
UNCLEAR = [
    ("", "from_missing"),
    (" , ", "from_missing"),
    ("a@x.org, b@x.org", "from_several"),
    ("Staff: a@x.org, b@x.org;", "from_several"),
    ("Staff: a@x.org;", "from_ambiguous"),
    ("alice@example.org)bob@x.org", "from_ambiguous"),
    ("alice@example.org(", "from_ambiguous"),
    ("alice(x)@example.org", "from_ambiguous"),
    ("tess@x.org <evil@y.org>", "from_ambiguous"),
    ("Tess <a@x.org> <b@x.org>", "from_ambiguous"),
    ('"Tess <tess@x.org>', "from_ambiguous"),
    ('(") evil@y.org ((") tess@x.org (")")', "from_ambiguous"),  # quotes in comments: evil@y.org to RFC 5322, to others tess@x.org
    ('tess@x.org (5" disk)', "from_ambiguous"),
    ("=?utf-8?q?tess=40x.org?=", "from_ambiguous"),
    ("=?utf-8?q?tess?=@x.org", "from_ambiguous"),
    ("<@a.org:b@x.org>", "from_ambiguous"),
    ("tess@x.org\0", "from_ambiguous"),
    ("tess", "from_ambiguous"),
    ("(" * 10_000, "from_ambiguous"),
    ('"' * 1_999, "from_ambiguous"),
    ("a@x.org " * 10_000, "from_ambiguous"),
]


@pytest.mark.parametrize(("value", "name", "address"), CLEAR, ids=[row[0] for row in CLEAR])
def test_one_mailbox(value: str, name: str, address: str) -> None:
    assert parse_from(value) == Mailbox(name, address)


@pytest.mark.parametrize(("value", "reason"), UNCLEAR, ids=[row[0][:40] for row in UNCLEAR])
def test_no_mailbox(value: str, reason: str) -> None:
    assert parse_from(value) == Unclear(reason)


@pytest.mark.parametrize(("value", "reason"), [("a@x.org, b@x.org", "from_several"), ("x", "from_ambiguous"), (None, "from_missing")])
def test_such_mail_is_held_for_a_list(value: str | None, reason: str) -> None:
    decision = decide(mail(content(sender=value), "m123-class"), directory())
    assert (decision.kind, decision.reason, decision.seq, decision.messages) == ("hold", reason, 20, ())


def test_two_from_fields_are_two_senders() -> None:
    assert author(scan(b"From: tess@x.org\r\nFrom : evil@y.org\r\n\r\n")) == Unclear("from_several")


@pytest.mark.parametrize("value", [b"tess@x.org\0", b"tess@x.o\0rg", b"T\0ess <tess@x.org>"])
def test_a_from_field_with_nul_names_nobody(value: bytes) -> None:
    assert author(scan(b"From: " + value + b"\r\n\r\n")) == Unclear("from_ambiguous")


def test_several_accounts_with_one_address_speak_by_rank() -> None:
    def person(user_id: str, role: str) -> dict[str, Any]:
        return {"user_id": user_id, "username": f"u{user_id}", "first_name": role, "email": "one@x.org", "roles": [role]}

    people = [person("12", "Teacher"), person("9", "Student"), person("10", "Teacher"), person("11", "Administrator")]
    assert directory(people=people).accounts["one@x.org"].user_id == "11"
    assert directory(people=people[:3]).accounts["one@x.org"].user_id == "10"


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "rot13", "zlib", "hex", "uu", "idna", "punycode", "../../x", "nosuch"])
def test_a_charset_that_is_no_alphabet_stays_encoded(charset: str) -> None:
    assert decoded(f"=?{charset}?q?abc?=") == f"=?{charset}?q?abc?="


def test_damaged_words_are_not_an_error() -> None:
    assert decoded("=?utf-8?b?####A?= =?utf-8?q?=FF=ZZ?= =?utf-8?x?a?=")
    assert decoded("=?utf-8?q?a?= =?utf-8?q?_b?= c") == "a b c"


def test_only_the_display_name_is_encoded() -> None:
    assert mailbox("José", "jose@x.org") == b"=?utf-8?b?Sm9zw6k=?= <jose@x.org>"
    assert mailbox('Al "Q" \\ B\r\nBcc: x', "a@b.c") == b'"Al \\"Q\\" \\\\ B Bcc: x" <a@b.c>'


RESULTS = [
    # (Authentication-Results in order, from top to bottom; what becomes of a teacher's mail to her class)
    ([], "deliver"),
    (["mx.yale.edu; dmarc=pass header.from=x.org"], "deliver"),
    (["mx.yale.edu; dmarc=fail header.from=x.org; dkim=pass header.d=x.org"], "hold"),
    (["mx.yale.edu; dmarc=pass header.from=mail.X.org"], "deliver"),
    (["mx.yale.edu; dmarc=pass"], "deliver"),
    (["mx.yale.edu; dmarc=pass header.from=y.org"], "hold"),  # the MTA saw another sender in the From header than we
    (["mx.yale.edu; dkim=pass header.d=x.org"], "deliver"),
    (["mx.yale.edu 1; spf=pass smtp.mailfrom=bounce@mail.x.org; dkim=none"], "deliver"),
    (["mx.yale.edu; spf=pass smtp.mailfrom=evil@y.org; dkim=pass header.d=y.org"], "hold"),
    (["mx.yale.edu; spf=pass smtp.mailfrom=a@evilx.org"], "hold"),
    (["mx.yale.edu; none"], "hold"),
    (["mx.yale.edu; dmarc=fail header.from=x.org", "mx.yale.edu; dmarc=pass header.from=x.org"], "hold"),  # the lower one is forged
    (["evil.org; dmarc=fail header.from=x.org"], "deliver"),  # nobody we know said anything
    (["mx.yale.edu; dkim=pass " + "(" * 5_000], "hold"),
]


@pytest.mark.parametrize(("results", "kind"), RESULTS)
def test_the_mtas_own_results_decide(results: list[str], kind: str) -> None:
    site = {"domain": "yale.learningu.org", "support": "s@x.org", "bounces": "b@x.org", "authserv_ids": ["MX.yale.edu"]}
    raw = content(*(f"Authentication-Results: {result}" for result in results))
    decision = decide(mail(raw, "m123-class"), directory(site=site))
    assert decision.kind == kind
    assert decision.reason == ("accepted" if kind == "deliver" else "sender_not_authenticated")


ANYONE = [
    # (From, subject_prefix of the redirect, what becomes of the mail when the MTA's results are against it)
    ("Support <websupport@learningu.org>", None, "deliver"),  # as it came: its DMARC fails at the recipients
    ("tess@x.org", None, "deliver"),
    ("stranger@y.org", "B", "deliver"),  # from the redirect's address, and nobody's alias
    ("Yale <info@yale.learningu.org>", None, "hold"),  # our signature would vouch for it
    ("dean@mit.learningu.org", None, "hold"),
    ("tess@x.org", "B", "hold"),  # it would come from her alias
]


@pytest.mark.parametrize(("sender", "prefix", "kind"), ANYONE)
def test_a_redirect_vouches_for_no_forged_sender(sender: str, prefix: str | None, kind: str) -> None:
    site = {"domain": "yale.learningu.org", "support": "s@x.org", "bounces": "b@x.org", "authserv_ids": ["mx.yale.edu"]}
    redirects = [{"original": "board", "destination": "a@z.org"}]
    lists = [{"seq": 30, "regex": "^(.*)$", "handler": "PlainList", "subject_prefix": prefix}]
    place = directory(site=site, redirects=redirects, email_lists=lists)
    failed = decide(mail(content("Authentication-Results: mx.yale.edu; dmarc=fail", sender=sender), "board"), place)
    assert (failed.kind, failed.reason) == (kind, "accepted" if kind == "deliver" else "sender_not_authenticated")
    assert decide(mail(content(sender=sender), "board"), place).kind == "deliver"


def test_the_sites_own_mail_needs_no_proof_where_its_domain_asks_for_none() -> None:
    site = {
        "domain": "yale.learningu.org",
        "support": "s@x.org",
        "bounces": "b@x.org",
        "default": "i@z.org",
        "authserv_ids": ["mx.yale.edu"],
    }
    raw = content("Authentication-Results: mx.yale.edu; spf=none; dmarc=none", sender="tess@yale.learningu.org")
    assert decide(mail(raw, "info"), directory(site=site)).kind == "deliver"


LIST_RESULTS = [
    # (what the MTA says of a mail with the List-Id of a list host that the site believes; what becomes of it)
    (None, "deliver"),
    ("dkim=pass header.d=lists.y.org; dmarc=fail header.from=z.org", "deliver"),
    ("spf=pass smtp.mailfrom=news-bounces@y.org", "deliver"),
    ("dkim=pass header.d=z.org; dmarc=pass header.from=z.org", "hold"),
    ("spf=fail smtp.mailfrom=lists.y.org; dkim=none", "hold"),
]


@pytest.mark.parametrize(("said", "kind"), LIST_RESULTS)
def test_a_list_host_is_believed_unless_the_results_know_nothing_of_it(said: str | None, kind: str) -> None:
    site: dict[str, Any] = {"domain": "yale.learningu.org", "support": "s@x.org", "bounces": "b@x.org"}
    site |= {"authserv_ids": ["mx.yale.edu"], "list_hosts": ["Lists.y.org"]}
    head = [f"Authentication-Results: mx.yale.edu; {said}"] if said else []
    decision = decide(mail(content("List-Id: <news.lists.y.org>", *head, sender="stranger@z.org"), "ann"), directory(site=site))
    assert (decision.kind, decision.reason) == (kind, "accepted" if kind == "deliver" else "sender_not_authenticated")


def test_a_believed_list_may_pass_on_what_the_site_wrote_to_it() -> None:
    site: dict[str, Any] = {"domain": "yale.learningu.org", "support": "s@x.org", "bounces": "b@x.org", "default": "i@z.org"}
    site |= {"authserv_ids": ["mx.yale.edu"], "list_hosts": ["lists.y.org"]}
    said = "Authentication-Results: mx.yale.edu; dkim=pass header.d=lists.y.org; dmarc=fail header.from=mit.learningu.org"
    raw = content(said, "List-Id: <news.lists.y.org>", sender="dean@mit.learningu.org")
    assert decide(mail(raw, "info"), directory(site=site)).kind == "deliver"


def test_a_directors_copy_of_list_mail_reaches_the_account_that_its_address_is_a_redirect_to() -> None:
    """The copy comes back in from the sender's alias, which is an address of an account like its own."""
    place = directory(redirects=[{"original": "info", "destination": "tess@yale.learningu.org"}])
    copies = decide(mail(content(sender="ann@x.org"), "m123-class"), place).messages
    (back,) = [copy.header + b"\r\nbody" for copy in copies if copy.recipient == "info@yale.learningu.org"]
    again = decide(mail(back, "info"), place)
    assert (again.kind, [copy.recipient for copy in again.messages]) == ("deliver", ["tess@x.org"])


@pytest.mark.parametrize("sender", ["ina@yale.learningu.org", "nobody@yale.learningu.org", "jo@yale.learningu.org", "ann@other.org"])
def test_an_alias_that_reaches_nobody_is_no_account(sender: str) -> None:
    twins = [{"user_id": str(number), "username": name, "email": f"{number}@x.org"} for number, name in ((91, "jo"), (92, "JO"))]
    place = directory(people=[*world()["people"], *twins])
    assert decide(mail(content(sender=sender), "m123-class"), place).reason == "stranger"
