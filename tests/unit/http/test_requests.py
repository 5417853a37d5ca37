"""Requests over HTTP: 202 only for what is durable, every fault named, the same document again at will."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams import topics
from streams.events import MessageRequest, MessageRequestApproved, MessageRequestCancelled, MessageRequestPaused, MessageRequestResumed
from streams.publisher import Record
from tests.services.outgoing import document
from tests.services.web import MOST, NOW, Web


async def test_an_accepted_request_is_on_its_topic(web: Web) -> None:
    answer = await web.api.post("/v1/requests", json=document("ann", request_id="r1"))
    assert (answer.status_code, answer.json()) == (
        202,
        {"outcome": "accepted", "request_id": "r1", "people": 1, "records": 1, "warnings": []},
    )
    (record,), (request,) = web.publisher.records, web.kept
    assert (record.topic, record.key) == (topics.MESSAGE_REQUESTS, b"r1")
    assert isinstance(request, MessageRequest)
    assert [person.username for person in request.recipients] == ["ann"]


async def test_the_same_again_is_the_same_request_and_other_words_or_people_a_conflict(web: Web) -> None:
    first = await web.api.post("/v1/requests", json=document("ann"))
    again = await web.api.post("/v1/requests", json=document("ann"))
    other = await web.api.post("/v1/requests", json=document("ann", subject="other"))
    others = await web.api.post("/v1/requests", json=document("ann", "bob"))
    assert [answer.status_code for answer in (first, again, other, others)] == [202, 202, 409, 409]
    assert len({request.content_hash for request in web.kept}) == 1


async def test_an_id_that_was_taken_before_this_process_began_stays_taken(web: Web) -> None:
    web.taken["r1"] = "another content"
    answer = await web.api.post("/v1/requests", json=document("ann", request_id="r1"))
    assert (answer.status_code, answer.json()["outcome"]) == (409, "conflict")
    assert web.kept == []


async def test_what_the_broker_did_not_take_may_be_changed_and_handed_in_again(web: Web) -> None:
    web.publisher.up = False
    assert (await web.api.post("/v1/requests", json=document("ann"))).status_code == 503
    web.publisher.up = True
    assert (await web.api.post("/v1/requests", json=document("ann", subject="other"))).status_code == 202


async def test_every_fault_is_named_at_once(web: Web) -> None:
    answer = await web.api.post("/v1/requests", json=document("ann", subject="{{ user.nmae }}", body="{% load x %}"))
    assert answer.status_code == 422
    said = answer.json()
    assert said["outcome"] == "rejected"
    assert {(problem["code"], problem["where"]) for problem in said["problems"]} == {
        ("unknown_variable", "subject"),
        ("template_error", "body"),
    }
    assert web.kept == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON document"),
        (b"{", "no JSON document"),
        (b"\xff", "no JSON document"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"subject": "a", "subject": "b"}', "'subject' is there twice"),
        (b'{"x": NaN}', "NaN is no JSON"),
        (b'{"x": ' + b"9" * 5000 + b"}", "no JSON document"),
    ],
    ids=["empty", "half", "no UTF-8", "deep", "twice", "NaN", "huge number"],
)
async def test_what_is_no_document_is_a_bad_request(web: Web, body: bytes, words: str) -> None:
    answer = await web.api.post("/v1/requests", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"null"])
async def test_a_document_of_the_wrong_kind_is_refused(web: Web, body: bytes) -> None:
    assert (await web.api.post("/v1/requests", content=body)).status_code == 422


async def test_a_document_beyond_the_limit_is_too_large_however_it_comes(web: Web) -> None:
    async def chunks() -> Any:
        for _ in range(MOST // 100_000 + 1):
            yield b" " * 100_000

    assert (await web.api.post("/v1/requests", content=b" " * (MOST + 1))).status_code == 413
    assert (await web.api.post("/v1/requests", content=chunks())).status_code == 413


async def test_a_big_audience_is_several_records(web: Web) -> None:
    people = [{"user_id": str(n), "username": f"u{n}", "first_name": "A", "last_name": "B", "email": f"u{n}@x.org"} for n in range(2500)]
    answer = await web.api.post("/v1/requests", json=document(*people))
    assert (answer.json()["people"], answer.json()["records"]) == (2500, 3)
    assert sum(len(request.recipients) for request in web.kept) == 2500


# -- status ----------------------------------------------------------------------------------------------------------


async def test_the_status_is_what_the_tables_say(web: Web) -> None:
    web.stands(document("ann", request_id="r1"), expanded=2, sent=1, failed=1, last_ended_at=NOW)
    answer = (await web.api.get("/v1/requests/r1")).json()
    assert (answer["state"], answer["expanded"], answer["counts"]["sent"], answer["finished_at"]) == ("finished", 2, 1, NOW.isoformat())


@pytest.mark.parametrize("request_id", ["r1", "%00", "a%20b", "x" * 300])
async def test_an_unknown_request_is_not_found(web: Web, request_id: str) -> None:
    assert (await web.api.get(f"/v1/requests/{request_id}")).status_code == 404


# -- words about a request ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "event"),
    [
        ("cancel", MessageRequestCancelled("r1", NOW, "ada", "wrong date")),
        ("pause", MessageRequestPaused("r1", NOW, "ada")),
        ("resume", MessageRequestResumed("r1", NOW, "ada")),
        ("approve", MessageRequestApproved("r1", NOW, "ada")),
    ],
)
async def test_a_word_about_a_request_is_an_event(web: Web, word: str, event: Any) -> None:
    answer = await web.api.post(f"/v1/requests/r1/{word}", json={"by": "ada", "reason": "wrong date"})
    assert answer.status_code == 202
    assert web.publisher.records == [Record.of(topics.MESSAGE_REQUESTS, "r1", event)]


async def test_who_says_so_is_optional_and_one_line(web: Web) -> None:
    await web.api.post("/v1/requests/r1/cancel")
    await web.api.post("/v1/requests/r1/cancel", json={"by": "a\r\nb", "reason": "\x1b[31m"})
    assert web.kept[0].by == "api"
    assert "\n" not in web.kept[1].by
    assert "\x1b" not in web.kept[1].reason


@pytest.mark.parametrize("body", [b"[]", b'{"by": 7}', b"{"])
async def test_words_of_the_wrong_kind_change_nothing(web: Web, body: bytes) -> None:
    assert (await web.api.post("/v1/requests/r1/cancel", content=body)).status_code == 400
    assert web.kept == []


async def test_a_word_that_the_broker_did_not_take_is_not_accepted(web: Web) -> None:
    web.publisher.up = False
    assert (await web.api.post("/v1/requests/r1/cancel")).status_code == 503


# -- before it is sent -------------------------------------------------------------------------------------------------


async def test_any_recipient_can_be_previewed_and_nothing_is_kept(web: Web) -> None:
    asked = {"request": document("ann", "bob", subject="For {{ user.name }}"), "user_id": "2"}
    answer = await web.api.post("/v1/preview", json=asked)
    assert answer.status_code == 200
    (message,) = answer.json()["messages"]
    assert (message["subject"], message["outcome"]) == ("For Bob O'Neil", "queued")
    assert web.kept == []


async def test_a_test_mail_is_queued_as_urgent(web: Web) -> None:
    answer = await web.api.post("/v1/test", json={"request": document("ann"), "to": "me@x.org"})
    assert answer.status_code == 202
    (record,), (email,) = web.publisher.records, web.kept
    assert (record.topic, email.email_id, email.recipient) == (topics.EMAILS_URGENT, answer.json()["email_id"], "me@x.org")


@pytest.mark.parametrize(
    ("path", "asked", "code"),
    [
        ("preview", {"user_id": "77"}, "unknown_user"),
        ("test", {"to": "nobody"}, "invalid_address"),
        ("test", {}, "invalid_address"),
        ("test", {"to": "me@x.org", "user_id": "77"}, "unknown_user"),
    ],
)
async def test_what_cannot_be_tried_is_refused(web: Web, path: str, asked: dict[str, str], code: str) -> None:
    answer = await web.api.post(f"/v1/{path}", json={"request": document("ann"), **asked})
    assert (answer.status_code, answer.json()["reason"]) == (422, code)
    assert web.kept == []


@pytest.mark.parametrize("asked", [[], {}, 7])
async def test_a_preview_of_nothing_is_a_bad_request(web: Web, asked: Any) -> None:
    assert (await web.api.post("/v1/preview", content=json.dumps(asked))).status_code == 400
