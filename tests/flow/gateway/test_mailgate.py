"""`espmail mailgate` as an MTA's pipe runs it: a process, its exit code, and what stands on the topic then."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from cli.mailgate import undressed
from streams.settings import Settings
from tests.services.env import environment
from tests.services.gateway import LIST, MAIL, SITE, Gateway, received
from tests.services.memory import MemoryPublisher
from tests.services.ports import HOST, free_ports

LOCAL_PART = LIST.partition("@")[0]
DEADLINE_S = 60
ACCEPTED, UNAVAILABLE, TRY_LATER = 0, 69, 75


@dataclass(frozen=True)
class Ended:
    """How the process ended."""

    code: int
    stdout: str
    stderr: str


async def mailgate(settings: Settings, message: bytes, *arguments: str, **given: str) -> Ended:
    """Run it with the recipient of every test, or what is `given` instead."""
    recipient = {"LOCAL_PART": LOCAL_PART, "DOMAIN": SITE, "SENDER": "ann@x.org"}
    return await run(environment(settings, **{**recipient, **given}), message, *arguments)


async def run(env: Mapping[str, str], message: bytes, *arguments: str) -> Ended:
    """Run it in this environment, while the gateway goes on in this loop."""
    command = [sys.executable, "-m", "cli.main", "mailgate", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, input=message, capture_output=True, env=env, timeout=DEADLINE_S, check=False)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


async def test_a_mail_on_stdin_is_accepted_in_silence(gateway: Gateway, publisher: MemoryPublisher) -> None:
    assert await mailgate(gateway.settings, MAIL.replace(b"\r\n", b"\n")) == Ended(ACCEPTED, "", "")
    (event,) = received(publisher.records)
    assert (event.content, event.mail_from, event.rcpt_to, event.protocol) == (MAIL, "ann@x.org", LIST, "LMTP")


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (b"", b""),
        (b"no end of line", b"no end of line\r\n"),
        (b".\n..\n.x\n", b".\r\n..\r\n.x\r\n"),
        (b"a\r\nb\nc\rd\n\r\n", b"a\r\nb\r\nc\r\nd\r\n\r\n"),
        (b"Subject: caf\xe9\n\n\xff\n", b"Subject: caf\xe9\r\n\r\n\xff\r\n"),
        (b"\n" + b"x\n" * 100_000, None),
    ],
    ids=["empty", "no line end", "dots", "all line ends", "8 bit", "beyond the inline limit"],
)
async def test_only_line_ends_change(gateway: Gateway, publisher: MemoryPublisher, message: bytes, content: bytes | None) -> None:
    assert (await mailgate(gateway.settings, message)).code == ACCEPTED
    assert [event.content for event in received(publisher.records)] == [content]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"From ann Fri Nov 20 10:00:00 2026\nSubject: a\n\nbody\n\n", b"Subject: a\n\nbody\n"),
        (b"From ann Fri Nov 20 10:00:00 2026\nSubject: a\n\nbody\n", b"Subject: a\n\nbody\n"),
        (b"From: ann\n\nFrom here on\n\n", b"From: ann\n\nFrom here on\n\n"),
        (b"From ann", b""),
    ],
)
def test_the_dressing_of_the_pipe_comes_off(message: bytes, expected: bytes) -> None:
    assert undressed(message) == expected


@pytest.mark.parametrize("sender", ["", "<>"])
async def test_a_bounce_has_the_null_sender(gateway: Gateway, publisher: MemoryPublisher, sender: str) -> None:
    assert (await mailgate(gateway.settings, MAIL, SENDER=sender)).code == ACCEPTED
    assert [event.mail_from for event in received(publisher.records)] == [""]


async def test_addresses_beyond_ascii(gateway: Gateway, publisher: MemoryPublisher) -> None:
    assert (await mailgate(gateway.settings, MAIL, LOCAL_PART="renée", SENDER="zoë@x.org")).code == ACCEPTED
    assert [(event.mail_from, event.rcpt_to) for event in received(publisher.records)] == [("zoë@x.org", f"renée@{SITE}")]


@pytest.mark.parametrize("local_part", ["a b", "a\r\nRCPT TO:<x@y.z>", "a>", "a\n", "a\x7f"])
async def test_r05_a_local_part_is_never_a_command(gateway: Gateway, publisher: MemoryPublisher, local_part: str) -> None:
    ended = await mailgate(gateway.settings, MAIL, LOCAL_PART=local_part)
    assert (ended.code, ended.stderr.count("\n")) == (UNAVAILABLE, 1)
    assert "cannot be an address" in ended.stderr
    assert publisher.records == []


@pytest.mark.parametrize("local_part", ["`id`", "${run{id}}", "{{7*7}}", "%s", "'OR/**/1=1--", "$(id)", "a|b"])
async def test_r05_an_odd_local_part_is_only_text(gateway: Gateway, publisher: MemoryPublisher, local_part: str) -> None:
    ended = await mailgate(gateway.settings, MAIL, LOCAL_PART=local_part)
    accepted = [event.rcpt_to for event in received(publisher.records)]
    assert accepted == ([f"{local_part}@{SITE}"] if ended.code == ACCEPTED else [])


async def test_what_can_never_be_accepted_is_69(gateway: Gateway, publisher: MemoryPublisher) -> None:
    ended = await mailgate(gateway.settings, b"nul \0\n")
    assert (ended.code, ended.stdout) == (UNAVAILABLE, "")
    assert ended.stderr == "espmail: the mail was not accepted: 550 5.6.11 the mail holds a bare CR, a bare LF or a NUL\n"
    assert (await mailgate(gateway.settings, MAIL, LOCAL_PART="nobody")).code == UNAVAILABLE
    assert publisher.records == []


async def test_a_broker_that_is_gone_is_75(gateway: Gateway, publisher: MemoryPublisher) -> None:
    publisher.up = False
    assert (await mailgate(gateway.settings, MAIL)).code == TRY_LATER


async def test_a_domain_that_no_site_has_is_ours_to_mend(gateway: Gateway) -> None:
    ended = await mailgate(gateway.settings, MAIL, DOMAIN="elsewhere.org")
    assert (ended.code, "550 5.7.1" in ended.stderr) == (TRY_LATER, True)


@pytest.mark.parametrize("where", [{"lmtp_socket": ""}, {"lmtp_socket": "absent/socket"}], ids=["port", "socket"])
async def test_a_gateway_that_is_gone_is_75(gateway: Gateway, where: dict[str, str]) -> None:
    settings = replace(gateway.settings, lmtp_port=free_ports(), lmtp_socket=where["lmtp_socket"])
    ended = await mailgate(settings, MAIL)
    assert (ended.code, ended.stderr.count("\n")) == (TRY_LATER, 1)


@pytest.mark.parametrize(
    "script",
    [
        [],
        [b"220 hi\r\n"],
        [b"220 hi\r\n", b"250 "],
        [b"421 busy\r\n"],
        [b"nonsense\r\n"],
        [b"220 hi\r\n", *[b"250 ok\r\n"] * 3, b"354 go\r\n"],
    ],
    ids=["hangs up", "silent after greeting", "half a reply", "busy", "nonsense", "hangs up behind the dot"],
)
async def test_a_gateway_that_breaks_off_is_75(script: Sequence[bytes]) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in script[:-1]:
            writer.write(reply)
            await reader.readline()
        writer.write(b"".join(script[-1:]))
        writer.close()

    server = await asyncio.start_server(broken, HOST, 0)
    async with server:
        ended = await mailgate(replace(Settings(), lmtp_port=server.sockets[0].getsockname()[1]), MAIL)
    assert (ended.code, ended.stderr.count("\n")) == (TRY_LATER, 1)


@pytest.mark.parametrize(
    "reply", [b"500 5.5.1 LHLO is not known", b"503 5.5.1 say EHLO first", b"554 no service", b"550 5.7.1 no", b"550 no"]
)
async def test_a_refusal_that_is_not_about_the_mail_is_75(reply: bytes) -> None:
    """Its port is SMTP's, or another server's: ours to mend, and no mail is bounced for it."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while await reader.readline():
            writer.write(reply + b"\r\n")
        writer.close()

    server = await asyncio.start_server(other, HOST, 0)
    async with server:
        ended = await mailgate(replace(Settings(), lmtp_port=server.sockets[0].getsockname()[1]), MAIL)
    assert (ended.code, ended.stderr.count("\n")) == (TRY_LATER, 1)


async def test_the_port_of_smtp_is_75(gateway: Gateway, publisher: MemoryPublisher) -> None:
    assert (await mailgate(replace(gateway.settings, lmtp_port=gateway.settings.smtp_port, lmtp_socket=""), MAIL)).code == TRY_LATER
    assert publisher.records == []


async def test_a_missing_recipient_or_a_wrong_setting_is_75(gateway: Gateway) -> None:
    env = environment(gateway.settings, ESPMAIL_NO_SUCH="1")
    nowhere = {**environment(gateway.settings), "ESPMAIL_LMTP_PORT": "none", "LOCAL_PART": LOCAL_PART, "DOMAIN": SITE}
    for given in (env, {**env, "LOCAL_PART": LOCAL_PART, "DOMAIN": SITE}, environment(gateway.settings), nowhere):
        ended = await run({name: value for name, value in given.items() if name != "SENDER"}, MAIL)
        assert (ended.code, ended.stderr.count("\n")) == (TRY_LATER, 1)


async def test_arguments_are_not_for_it(gateway: Gateway) -> None:
    assert (await mailgate(gateway.settings, MAIL, "--help")).code == ACCEPTED
    assert (await mailgate(gateway.settings, MAIL, "--verbose")).code == TRY_LATER
