"""What every answer of an MTA means: the reply table by example, and its totality."""

from __future__ import annotations

import re

import pytest

from streams.domain.delivery import Fault, Phase, Reply, Verdict, judge
from streams.domain.delivery_rules import GREYLIST, NOBODY, RELAY, RULES, Rule
from streams.domain.verdicts import MAX_REPLY, SERVER_PHASES

# phase, code, text -> kind, reason, flags (s: slow the domain, h: hard bounce, w: whole server)
ANSWERS = (
    ("dot", 250, "2.0.0 Ok: queued as 4F1", "sent", "accepted", ""),
    ("dot", 250, "", "sent", "accepted", ""),
    ("dot", 299, "odd, but a yes (RFC 5321, section 4.2.1)", "sent", "accepted", ""),
    ("dot", 354, "go on", "doubt", "unknown_reply_after_dot", ""),
    ("dot", 999, "", "doubt", "unknown_reply_after_dot", ""),
    ("dot", 0, "", "doubt", "unknown_reply_after_dot", ""),
    ("dot", 421, "4.3.2 shutting down", "defer", "server_busy", "w"),
    ("dot", 450, "4.2.0 try later", "defer", "temporary", ""),
    ("dot", 451, "4.7.1 slow down", "defer", "rate_limited", "s"),
    ("dot", 452, "4.3.1 out of space", "defer", "server_busy", ""),
    ("dot", 552, "5.3.4 message too big", "fail", "too_big", ""),
    ("dot", 552, "exceeded storage allocation", "fail", "too_big", ""),
    ("dot", 554, "5.7.1 looks like spam", "fail", "policy", ""),
    ("dot", 554, "5.6.0 bad MIME", "fail", "content_refused", ""),
    ("dot", 554, "transaction failed", "fail", "refused", ""),
    ("dot", 550, "5.1.1 no such user after all", "fail", "mailbox_unknown", "h"),
    ("rcpt", 550, "5.1.1 <x@y.z>: Recipient address rejected", "fail", "mailbox_unknown", "h"),
    ("rcpt", 550, "No such user here", "fail", "mailbox_unknown", "h"),
    ("rcpt", 550, "Unrouteable address", "fail", "mailbox_unknown", "h"),
    ("rcpt", 550, "the account is disabled", "fail", "mailbox_unknown", "h"),
    ("rcpt", 550, "refused", "fail", "refused", ""),
    ("rcpt", 550, "5.7.1 blocked by policy", "fail", "policy", ""),
    ("rcpt", 554, "5.7.1 <x@y.z>: Relay access denied", "defer", "relay_denied", "w"),
    ("rcpt", 550, "relay not permitted", "defer", "relay_denied", "w"),
    ("rcpt", 551, "user not local", "fail", "mailbox_moved", "h"),
    ("rcpt", 553, "mailbox name not allowed", "fail", "address_malformed", "h"),
    ("rcpt", 552, "too many recipients", "defer", "too_many_recipients", ""),
    ("rcpt", 552, "5.2.2 over quota", "fail", "mailbox_full", ""),
    ("rcpt", 452, "4.5.3 too many recipients", "defer", "too_many_recipients", "s"),
    ("rcpt", 452, "4.2.2 over quota", "defer", "mailbox_full", ""),
    ("rcpt", 450, "4.2.0 greylisted, come back", "defer", "greylisted", ""),
    ("rcpt", 451, "4.7.1 Greylisting in action", "defer", "greylisted", ""),
    ("rcpt", 450, "4.1.1 unverified", "defer", "temporary", ""),
    ("rcpt", 451, "4.4.3 name server timeout", "defer", "route_down", ""),
    ("rcpt", 421, "4.7.0 unusual rate", "defer", "rate_limited", "s"),
    ("rcpt", 421, "", "defer", "rate_limited", "s"),
    ("rcpt", 550, "5.1.10 null MX", "fail", "domain_takes_no_mail", "h"),
    ("rcpt", 556, "", "fail", "domain_takes_no_mail", "h"),
    ("rcpt", 503, "5.5.1 bad sequence", "defer", "protocol", ""),
    ("rcpt", 530, "5.7.0 authentication required", "defer", "authentication_required", "w"),
    ("rcpt", 550, "5.1.8 sender's domain does not resolve", "defer", "sender_refused", "w"),
    ("rcpt", 250, "a yes is no last answer here", "defer", "unexpected_reply", ""),
    ("rcpt", 550, "5.1.100 not 5.1.10", "fail", "refused", ""),
    ("rcpt", 550, "4.1.1 classes disagree, the code decides", "fail", "refused", ""),
    ("data", 554, "no valid recipients", "fail", "refused", ""),
    ("data", 451, "", "defer", "temporary", ""),
    ("mail", 550, "5.7.1 you may not send as this", "defer", "sender_refused", "w"),
    ("mail", 552, "size limit", "fail", "too_big", ""),
    ("mail", 550, "5.6.7 non-ASCII not permitted", "fail", "needs_smtputf8", ""),
    ("mail", 421, "4.3.0 busy", "defer", "server_busy", "w"),
    ("connect", 554, "no SMTP service here", "defer", "server_refuses_us", "w"),
    ("connect", 421, "too many connections", "defer", "server_busy", "w"),
    ("connect", 521, "does not accept mail", "defer", "server_refuses_us", "w"),
    ("greeting", 501, "bad EHLO", "defer", "server_refuses_us", "w"),
    ("tls", 454, "not now", "defer", "server_busy", "w"),
    ("auth", 535, "5.7.8 wrong password", "defer", "server_refuses_us", "w"),
    ("auth", 250, "unasked", "defer", "unexpected_reply", "w"),
)


@pytest.mark.parametrize(("phase", "code", "text", "kind", "reason", "flags"), ANSWERS)
def test_a_reply_means(phase: str, code: int, text: str, kind: str, reason: str, flags: str) -> None:
    verdict = judge(Phase(phase), Reply(code, text))
    assert (verdict.kind, verdict.reason, _flags(verdict)) == (kind, reason, flags)


@pytest.mark.parametrize("phase", Phase)
def test_every_code_in_every_phase_has_a_verdict_of_its_class(phase: Phase) -> None:
    for code in range(1000):
        verdict = judge(phase, Reply(code, ""))
        assert verdict.reason
        if verdict.kind == "sent":
            assert phase is Phase.DOT
            assert code // 100 == 2
        elif verdict.kind == "fail":
            assert code // 100 == 5
            assert phase not in SERVER_PHASES
        elif verdict.kind == "doubt":
            assert phase is Phase.DOT
            assert code // 100 not in {2, 4, 5}
        else:
            assert phase is not Phase.DOT or code // 100 in {4, 5}


@pytest.mark.parametrize("kind", ["timeout", "disconnected", "tls", "protocol", "refused", "unreachable"])
@pytest.mark.parametrize("phase", Phase)
def test_silence_is_doubt_behind_the_dot_and_a_retry_before_it(phase: Phase, kind: str) -> None:
    verdict = judge(phase, Fault(kind, "connection\r\nlost"))  # type: ignore[arg-type]  # parametrised over the literal's values
    assert verdict.kind == ("doubt" if phase is Phase.DOT else "defer")
    assert verdict.reason == (f"{kind}_after_dot" if phase is Phase.DOT else kind)
    assert verdict.whole_server == (phase in SERVER_PHASES)
    assert verdict.reply == f"{kind} at {phase}: connection lost"


WORDS = {NOBODY: "unknown user", RELAY: "relaying denied", GREYLIST: "greylisted", None: ""}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.code} {rule.enhanced} {rule.reason}")
def test_no_rule_is_hidden_by_one_above_it(rule: Rule) -> None:
    code = rule.code + "x50"[len(rule.code) :]
    enhanced = rule.enhanced and ".".join([*rule.enhanced.split("."), "0"][:3])
    deciding = [next(each for each in RULES if each.fits(phase, code, enhanced, WORDS[rule.text])) for phase in rule.phases]
    assert rule in deciding


def test_a_strangers_text_becomes_one_bounded_line() -> None:
    hostile = "\x1b[31m<img onerror=x>\r\n250 2.0.0 forged\x00\u2028" + "a" * 1_000_000
    reply = judge(Phase.RCPT, Reply(550, hostile)).reply
    assert len(reply) <= MAX_REPLY
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", reply)
    assert reply.startswith("550 [31m<img onerror=x> 250 2.0.0 forged")


def test_a_reply_of_a_million_characters_costs_nothing_special() -> None:
    assert judge(Phase.RCPT, Reply(550, "user " * 200_000)).kind == "fail"


def _flags(verdict: Verdict) -> str:
    return "s" * verdict.slow_domain + "h" * verdict.hard_bounce + "w" * verdict.whole_server
