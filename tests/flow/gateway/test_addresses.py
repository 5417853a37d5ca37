"""Rows I-13, I-14: who is here, and who only says so."""

from __future__ import annotations

import pytest

from gateway import smtp_in_rules as rules
from tests.services.gateway import LIST, SITE, Client


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        (LIST, rules.OK),
        (LIST.upper(), rules.OK),
        (f"a.b+tag@{SITE}", rules.OK),
        (f"nobody@{SITE}", rules.NO_SUCH_USER),
        ("a@elsewhere.org", rules.RELAY_DENIED),
        (f"a@sub.{SITE}", rules.RELAY_DENIED),
        (f"a@{SITE}.", rules.RELAY_DENIED),
        (f"user%evil.org@{SITE}", rules.RELAY_DENIED),
        (f"evil.org!user@{SITE}", rules.RELAY_DENIED),
        (f"user@evil.org@{SITE}", rules.RELAY_DENIED),
        (f'"user@evil.org"@{SITE}', rules.RELAY_DENIED),
        (f'"m123-class"@{SITE}', rules.RELAY_DENIED),
        (f"@evil.org:user@{SITE}", rules.RELAY_DENIED),
        (f"@{SITE}:user@evil.org", rules.RELAY_DENIED),
        ("user@[127.0.0.1]", rules.RELAY_DENIED),
        ("user@[IPv6:::1]", rules.RELAY_DENIED),
        ("user@localhost", rules.RELAY_DENIED),
        ("user", rules.BAD_RECIPIENT),
        ("", rules.BAD_RECIPIENT),
        (f"@{SITE}", rules.RELAY_DENIED),
        (f"a b@{SITE}", "553 5.1.3"),
        (f"a@{SITE}> NOTIFY=<NEVER", "555 5.5.4"),
        (f"a\udcff@{SITE}", rules.BAD_RECIPIENT),
        (f"a\r@{SITE}", "553 5.1.3"),
        (f"{'a' * 65}@{SITE}", rules.RELAY_DENIED),
        ("emailbounces@learningu.org", rules.OK),
        ("EmailBounces+3b1f0a9e-1111-5222-8333-000000000001@LearningU.org", rules.OK),
        ("emailbouncesx@learningu.org", rules.RELAY_DENIED),
        ("info@learningu.org", rules.RELAY_DENIED),
        ("emailbounces+a%b@learningu.org", rules.RELAY_DENIED),
    ],
    ids=range(30),
)
async def test_i14_only_plain_addresses_of_ours(client: Client, address: str, reply: str) -> None:
    await client.say("EHLO x")
    await client.say("MAIL FROM:<a@x.org>")
    assert (await client.say(f"RCPT TO:<{address}>")).startswith(reply)


@pytest.mark.parametrize("line", [f"RCPT TO:{LIST}", "RCPT TO:", "RCPT", f"RCPT {LIST}", f"RCPT TO:<{LIST}> FOO=BAR"])
async def test_a_recipient_stands_in_angle_brackets(client: Client, line: str) -> None:
    await client.say("EHLO x")
    await client.say("MAIL FROM:<a@x.org>")
    assert (await client.say(line))[:5] in {"501 5", "553 5", "555 5"}


@pytest.mark.parametrize("sender", ["a" * 321, "a\udcff@x.org"])
async def test_a_sender_is_text_of_a_sane_length(client: Client, sender: str) -> None:
    await client.say("EHLO x")
    assert await client.say(f"MAIL FROM:<{sender}>") == rules.BAD_SENDER


@pytest.mark.parametrize("sender", ["www-data@chapter", "SRS0=x=y=z.org=a@b.org", '"a b"@x.org', "bounces+1=x.org@y.org"])
async def test_odd_senders_are_only_text(client: Client, sender: str) -> None:
    await client.say("EHLO x")
    assert (await client.say(f"MAIL FROM:<{sender}>")).startswith("250" if " " not in sender else "553")


@pytest.mark.parametrize("control", ["\x1b", "\x7f", "\x85", "\x9b", "\u2028"])
async def test_a05_no_address_holds_what_a_terminal_obeys(client: Client, control: str) -> None:
    """Operators read senders in lists; beyond ASCII there are controls too."""
    await client.say("EHLO x")
    assert (await client.say(f"MAIL FROM:<a{control}31m@x.org> SMTPUTF8")).startswith("553")
    assert (await client.say("MAIL FROM:<a@x.org> SMTPUTF8")).startswith("250")
    assert (await client.say(f"RCPT TO:<a{control}31m@{SITE}>")).startswith("553 5.1.3")
