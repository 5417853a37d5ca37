"""Unsubscribe links and preferences (spec 5.5; 8, rows 29 to 31; 9.6, rows 164 to 169; reliability, row A-06)."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams import topics
from streams.domain.outgoing.unsubscribe import PURPOSES, Keyring, make_token
from streams.events import Resubscribed, Unsubscribed
from tests.services.web import ANN, EMAIL_ID, NOW, Web, link_token

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Page(HTMLParser):
    """What of a page matters here: its forms, its ticked boxes, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str | None]] = []
        self.links: list[str | None] = []
        self.ticked: list[str | None] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append(found)
        if tag == "a":
            self.links.append(found["href"])
        if "checked" in found:
            self.ticked.append(found["name"])

    def handle_data(self, data: str) -> None:
        self.text += data


def said(event: Any) -> tuple[str, str, str]:
    return type(event).__name__, event.address_hash, event.purpose


async def test_164_looking_at_the_page_changes_nothing(web: Web) -> None:
    token = link_token()
    answer = await web.client.get(f"/unsubscribe/{token}")
    page = Page(answer.text)
    assert answer.status_code == 200
    assert page.forms == [{"method": "post", "action": f"/unsubscribe/{token}"}]
    assert page.links == [f"/preferences/{token}"]
    assert web.kept == []


@pytest.mark.parametrize("encoding", ["data", "files"])
async def test_one_click_unsubscribes_without_a_cookie_in_either_form_encoding(web: Web, encoding: str) -> None:
    fields: Any = ONE_CLICK if encoding == "data" else {name: (None, value) for name, value in ONE_CLICK.items()}
    answer = await web.client.post(f"/unsubscribe/{link_token()}", **{encoding: fields})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    (record,), (event,) = web.publisher.records, web.kept
    assert (record.topic, record.key) == (topics.FEEDBACK, ANN.encode())
    assert event == Unsubscribed(event.feedback_id, NOW, EMAIL_ID, ANN, "request", "one_click")


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_link_unsubscribes_from_its_own_purpose_alone(web: Web, purpose: str) -> None:
    await web.client.post(f"/unsubscribe/{link_token(purpose)}", data=ONE_CLICK)
    assert [said(event) for event in web.kept] == [("Unsubscribed", ANN, purpose)]


@pytest.mark.parametrize("fields", [{}, {"List-Unsubscribe": "no"}, {"List-Unsubscribe": ""}, {"other": "One-Click"}])
async def test_a_post_that_says_something_else_changes_nothing(web: Web, fields: dict[str, str]) -> None:
    assert (await web.client.post(f"/unsubscribe/{link_token()}", data=fields)).status_code == 400
    assert web.kept == []


async def test_165_a_link_in_old_mail_still_works(web: Web) -> None:
    web.now = NOW.replace(year=2036)
    assert (await web.client.post(f"/unsubscribe/{link_token()}", data=ONE_CLICK)).status_code == 200
    assert len(web.kept) == 1


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["unsubscribe", "preferences"])
@pytest.mark.parametrize("token", ["x", "", "%00", "a" * 72, "é" * 72, link_token()[:-1], link_token() + "A"])
async def test_167_any_other_token_is_refused_without_a_word_about_it(web: Web, token: str, path: str, method: str) -> None:
    answer = await web.client.request(method, f"/{path}/{token}", data=ONE_CLICK if method == "post" else None)
    assert answer.status_code == 404
    assert web.kept == []


async def test_a_link_of_another_installation_is_refused(web: Web) -> None:
    token = make_token(Keyring((bytes(32),)), ANN, "request", EMAIL_ID)
    assert (await web.client.post(f"/unsubscribe/{token}", data=ONE_CLICK)).status_code == 404


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(place=st.integers(0, 71), letter=st.sampled_from("ABab01-_"))
async def test_a_link_with_any_letter_changed_changes_nothing(web: Web, place: int, letter: str) -> None:
    token = link_token()
    changed = token[:place] + letter + token[place + 1 :]
    answer = await web.client.post(f"/unsubscribe/{changed}", data=ONE_CLICK)
    assert (answer.status_code == 200) == (changed == token)
    assert {event.address_hash for event in web.kept} <= {ANN}


async def test_nothing_is_promised_that_the_broker_does_not_have(web: Web) -> None:
    web.publisher.up = False
    answer = await web.client.post(f"/unsubscribe/{link_token()}", data=ONE_CLICK)
    assert answer.status_code == 503
    assert "could not be saved" in answer.text


async def test_whoever_is_unsubscribed_may_come_back_from_the_same_page(web: Web) -> None:
    token = link_token()
    web.suppressed[ANN, "request"] = "unsubscribed"
    page = Page((await web.client.get(f"/unsubscribe/{token}")).text)
    assert [form["action"] for form in page.forms] == [f"/resubscribe/{token}"]
    answer = await web.client.post(f"/resubscribe/{token}")
    assert answer.status_code == 200
    assert [said(event) for event in web.kept] == [("Resubscribed", ANN, "request")]


async def test_coming_back_also_lifts_what_stops_all_mail(web: Web) -> None:
    web.suppressed[ANN, "*"] = "complaint"
    await web.client.post(f"/resubscribe/{link_token()}")
    assert [said(event) for event in web.kept] == [("Resubscribed", ANN, "request"), ("Resubscribed", ANN, "*")]


async def test_preferences_show_what_the_address_gets(web: Web) -> None:
    web.suppressed[ANN, "list"] = "unsubscribed"
    assert Page((await web.client.get(f"/preferences/{link_token()}")).text).ticked == ["request", "alias"]
    assert web.kept == []


async def test_preferences_say_each_purpose_anew(web: Web) -> None:
    answer = await web.client.post(f"/preferences/{link_token()}", data={"list": "on"})
    assert Page(answer.text).ticked == ["list"]
    assert [said(event) for event in web.kept] == [
        ("Resubscribed", ANN, "list"),
        ("Unsubscribed", ANN, "request"),
        ("Unsubscribed", ANN, "alias"),
    ]


@pytest.mark.parametrize(("fields", "lifted"), [({"request": "on"}, True), ({}, False)])
async def test_mail_that_was_stopped_by_a_bounce_comes_back_only_if_some_is_wanted(web: Web, fields: dict[str, str], lifted: bool) -> None:
    web.suppressed[ANN, "*"] = "hard_bounce"
    page = Page((await web.client.get(f"/preferences/{link_token()}")).text)
    assert page.ticked == []
    assert "came back as undeliverable" in page.text
    await web.client.post(f"/preferences/{link_token()}", data=fields)
    assert (("Resubscribed", ANN, "*") in map(said, web.kept)) == lifted


async def test_no_page_and_no_link_names_the_address(web: Web) -> None:
    token = link_token()
    for path in (f"/unsubscribe/{token}", f"/preferences/{token}"):
        answer = await web.client.get(path)
        assert "ann" not in answer.text.replace(token, "").lower().replace("announcements", "").replace("cannot", "")
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_a_form_too_large_is_refused(web: Web) -> None:
    assert (await web.client.post(f"/preferences/{link_token()}", content=b"x" * 10_000)).status_code == 413
    assert web.kept == []


async def test_events_of_one_address_keep_their_order_and_have_ids_of_their_own(web: Web) -> None:
    token = link_token()
    await web.client.post(f"/unsubscribe/{token}", data=ONE_CLICK)
    await web.client.post(f"/resubscribe/{token}")
    await web.client.post(f"/unsubscribe/{token}", data=ONE_CLICK)
    assert [type(event) for event in web.kept] == [Unsubscribed, Resubscribed, Unsubscribed]
    assert len({event.feedback_id for event in web.kept}) == 3
    assert len({record.key for record in web.publisher.records}) == 1
