"""The public page of a request (spec 2.8; 8, row 36; 9.6, row 163; reliability, rows A-03 and A-04)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.http.public import cleaned
from tests.services.outgoing import document
from tests.services.web import Web

PERSONAL = {"subject": "For {{ user.name }}", "body": "<html><p>Dear {{ user.first_name }}, we start on {{ program.date }}.</p></html>"}


async def test_163_a_public_request_is_shown_with_neutral_words(web: Web) -> None:
    web.stands(document("ann", request_id="r1", public=True, **PERSONAL))
    page, text = await web.client.get("/email/r1"), await web.client.get("/email/r1/text")
    assert (page.status_code, text.status_code) == (200, 200)
    assert "<h1>For [name]</h1>" in page.text
    assert "November 20, 2026" in page.text
    assert "<p>Dear [first name], we start on Jul. 07, 2222.</p>" in text.text
    assert "{{" not in page.text + text.text
    assert "Ann" not in page.text + text.text


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"public": False}, {}),
        ({"public": True}, {"expanded_at": None, "state": "scheduled"}),
        ({"public": True}, {"state": "rejected"}),
        ({"public": True}, {"state": "cancelled"}),
    ],
    ids=["not public", "not yet sent", "rejected", "cancelled"],
)
async def test_163_any_other_request_is_not_found(web: Web, changes: dict[str, Any], columns: dict[str, Any]) -> None:
    web.stands(document("ann", request_id="r1", **changes), **columns)
    for path in ("/email/r1", "/email/r1/text", "/email/r2"):
        assert (await web.client.get(path)).status_code == 404


async def test_it_may_be_cached_for_three_minutes_and_is_read_anew_after_that(web: Web) -> None:
    web.stands(document("ann", request_id="r1", public=True))
    assert (await web.client.get("/email/r1")).headers["cache-control"] == "public, max-age=180"
    web.heads.clear()
    assert (await web.client.get("/email/r1")).status_code == 200
    web.now += timedelta(seconds=180)
    assert (await web.client.get("/email/r1")).status_code == 500


async def test_a_request_of_years_ago_is_shown_as_well(web: Web) -> None:
    web.stands(document("ann", request_id="r1", public=True))
    web.now += timedelta(days=3000)
    assert (await web.client.get("/email/r1")).status_code == 200


async def test_the_text_stands_in_a_frame_that_runs_and_loads_nothing(web: Web) -> None:
    web.stands(document("ann", request_id="r1", public=True, body="<html><p>Hi</p></html>"))
    page, text = await web.client.get("/email/r1"), await web.client.get("/email/r1/text")
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    policy = text.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "default-src 'none'; img-src data:;" in policy
    assert "allow-scripts" not in policy + page.text
    assert text.headers["x-frame-options"] == "SAMEORIGIN"
    assert page.headers["x-frame-options"] == "DENY"


async def test_plain_text_is_shown_as_it_is(web: Web) -> None:
    web.stands(document("ann", request_id="r1", public=True, subject="<b>1 & 2</b>", body="1 < 2\n<script>x</script>"))
    page, text = await web.client.get("/email/r1"), await web.client.get("/email/r1/text")
    assert "&lt;b&gt;1 &amp; 2&lt;/b&gt;" in page.text
    assert "<pre>1 &lt; 2\n&lt;script&gt;x&lt;/script&gt;</pre>" in text.text


@pytest.mark.parametrize(
    ("hostile", "absent"),
    [
        ("<script>x()</script>", "x()"),
        ('<img src=x onerror="x()">', "onerror"),
        ('<a href="javascript:x()">a</a>', "javascript"),
        ("<iframe src=//evil.test></iframe>", "iframe"),
        ("<form action=//evil.test><input></form>", "form"),
        ("<base href=//evil.test>", "base"),
        ("<meta http-equiv=refresh content=0>", "meta"),
        ('<p style="position:fixed;background-image:url(//evil.test)">a</p>', "position"),
        ('<p style="background-image:url(//evil.test)">a</p>', "evil"),
        ("<style>@import '//evil.test'</style>", "import"),
        ("<svg onload=x()></svg>", "svg"),
        ("<object data=x></object>", "object"),
    ],
)
def test_nothing_that_runs_or_loads_survives(hostile: str, absent: str) -> None:
    assert absent not in cleaned(f"<html><body>{hostile}<p>Hi</p></body></html>").replace("<p>Hi</p>", "")


def test_what_mail_looks_like_survives() -> None:
    shown = cleaned(
        '<html><p style="color: red; text-align: center">Hi <a href="https://x.org/a">there</a></p><table><tr><td>1</td></tr></table></html>'
    )
    assert shown == (
        '<p style="color:red;text-align:center">Hi <a href="https://x.org/a" target="_blank" rel="noopener noreferrer">there</a></p>'
        "<table><tbody><tr><td>1</td></tr></tbody></table>"
    )
