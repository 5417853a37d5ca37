"""The page behind a moderator's link (spec 8.1; reliability.md, rows A-03 and A-06 for this page)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http.moderation import SHOWN_BODY
from projections.tables import inbound_mail
from streams import topics
from streams.domain.routing.moderation import make_token
from streams.domain.routing.notices import MAX_NOTE
from streams.events import InboundApproved, InboundRejected
from tests.services.outgoing import KEYRING
from tests.services.web import EMAIL_ID, NOW, Web

MAIL_ID = "ab" * 32
LINK = f"/moderation/{make_token(KEYRING, MAIL_ID, EMAIL_ID)}"
BY = f"link in {EMAIL_ID}"
MAIL = b"From: =?utf-8?q?T=C3=A9ss?= <tess@x.org>\r\nSubject: <script>alert(1)</script>\r\nX-Secret: no\r\n\r\nHello <b>all</b>.\r\n"


def stands(web: Web, content: bytes | None = MAIL, **columns: Any) -> None:
    """The mail's row, and its content where the row says."""
    if content is not None:
        web.mails[7] = content
    row = {"inbound_id": MAIL_ID, "mail_from": "tess@x.org", "rcpt_to": "news@x.org", "decision": "hold", "reason": "admin_hold"}
    place = {"mail_partition": 0, "mail_offset": 7, "emails": 0, "skipped": []}
    with web.engine.begin() as connection:
        connection.execute(inbound_mail.insert(), row | place | columns)


async def test_looking_changes_nothing(web: Web) -> None:
    stands(web)
    answer = await web.client.get(LINK)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.count("<button") == 2
    assert web.kept == []


async def test_the_page_shows_the_mail_as_text(web: Web) -> None:
    stands(web)
    text = (await web.client.get(LINK)).text
    for part in ("Téss &lt;tess@x.org&gt;", "&lt;script&gt;alert(1)&lt;/script&gt;", "Hello &lt;b&gt;all&lt;/b&gt;.", "news@x.org"):
        assert part in text
    assert "<script" not in text
    assert "X-Secret" not in text


async def test_the_page_says_who_vouches(web: Web) -> None:
    stands(web, judged={"by": "mx.x.org", "own": False, "results": [{"method": "dmarc", "result": "fail", "domain": "<x>.org"}]})
    assert "Whether its sender is who it says: dmarc fail (&lt;x&gt;.org), found out by mx.x.org." in (await web.client.get(LINK)).text


async def test_a_long_mail_is_cut(web: Web) -> None:
    stands(web, b"Subject: s\r\n\r\n" + b"y" * 100_000)
    assert (await web.client.get(LINK)).text.count("y" * SHOWN_BODY + "\n\n...") == 1


@pytest.mark.parametrize(("decision", "event"), [("approve", InboundApproved), ("reject", InboundRejected)])
async def test_a_button_decides(web: Web, decision: str, event: type[Any]) -> None:
    stands(web)
    answer = await web.client.post(LINK, data={"decision": decision, "note": " Too long.\r\nSorry. "})
    assert answer.status_code == 200
    assert web.kept == [event(MAIL_ID, NOW, BY, "Too long.\r\nSorry.")]
    assert [(record.topic, record.key) for record in web.publisher.records] == [(topics.MODERATION, MAIL_ID.encode())]


SAID = {"decided_at": NOW, "moderated_at": NOW}


@pytest.mark.parametrize(
    "columns",
    [{"moderation": "approved", **SAID}, {"decision": "deliver"}, {"decision": "drop", "moderation": "rejected", **SAID}],
)
async def test_what_is_decided_is_not_decided_again(web: Web, columns: dict[str, Any]) -> None:
    stands(web, **columns)
    answers = [await web.client.get(LINK), await web.client.post(LINK, data={"decision": "reject"})]
    for answer in answers:
        assert answer.status_code == 200
        assert "This is decided already" in answer.text
        assert "<form" not in answer.text
    assert web.kept == []


@pytest.mark.parametrize("form", [{}, {"decision": "delete"}, {"decision": "approve", "note": "x" * (MAX_NOTE + 1)}])
async def test_a_form_that_is_not_ours(web: Web, form: dict[str, str]) -> None:
    stands(web)
    assert (await web.client.post(LINK, data=form)).status_code == 400
    assert web.kept == []


async def test_a_huge_form(web: Web) -> None:
    stands(web)
    assert (await web.client.post(LINK, data={"decision": "approve", "note": "x" * 100_000})).status_code == 413


@pytest.mark.parametrize("token", ["x", "x" * 92, make_token(KEYRING, "cd" * 32, EMAIL_ID)[:-1] + "A"])
async def test_a_link_that_is_not_ours(web: Web, token: str) -> None:
    stands(web)
    for answer in (
        await web.client.get(f"/moderation/{token}"),
        await web.client.post(f"/moderation/{token}", data={"decision": "approve"}),
    ):
        assert answer.status_code == 404
    assert web.kept == []


async def test_a_link_that_is_faster_than_the_tables(web: Web) -> None:
    assert (await web.client.get(LINK)).status_code == 503
    assert (await web.client.post(LINK, data={"decision": "approve"})).status_code == 503


@pytest.mark.parametrize("place", [{"mail_offset": 8}, {"mail_offset": None}])
async def test_a_mail_whose_text_is_kept_no_more_can_still_be_decided(web: Web, place: dict[str, Any]) -> None:
    stands(web, **place)
    answer = await web.client.get(LINK)
    assert "Its text cannot be shown" in answer.text
    assert "tess@x.org" in answer.text
    assert answer.text.count("<button") == 2


async def test_kafka_is_down(web: Web) -> None:
    stands(web)
    web.publisher.up = False
    assert (await web.client.post(LINK, data={"decision": "approve"})).status_code == 503
    assert web.kept == []
