"""What a plan decides for a cluster's topics, and what topics.yaml says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml

from streams import topics
from streams.topic_plan import RULES, Change, Found, Wanted, plan, wanted

DAYS_30 = str(30 * topics.DAY_MS)
LANE = Wanted(
    "emails.bulk",
    4,
    3,
    {
        "cleanup.policy": "delete",
        "retention.ms": DAYS_30,
        "retention.bytes": "-1",
        "max.message.bytes": "8388608",
        "min.insync.replicas": "2",
        "unclean.leader.election.enable": "false",
    },
)
STANDS = Found(4, 3, LANE.config)


def standing(**config: str) -> Found:
    return replace(STANDS, config={**STANDS.config, **{name.replace("_", "."): value for name, value in config.items()}})


def verdicts(found: Found | None) -> list[tuple[str, str]]:
    return [(change.verdict, change.setting) for change in plan([LANE], {} if found is None else {LANE.name: found})]


def test_a_cluster_that_matches_needs_nothing() -> None:
    assert plan([LANE], {LANE.name: STANDS, "somebody-elses": Found(1, 1, {})}) == []


def test_a_missing_topic_is_created() -> None:
    assert plan([LANE], {}) == [Change("emails.bulk", "create", "topic", "", f"4 partitions, 3 copies, retention.ms {DAYS_30}")]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (standing(retention_ms=str(topics.DAY_MS)), ("alter", "retention.ms")),  # kept longer: nothing is lost
        (standing(retention_ms=str(60 * topics.DAY_MS)), ("refuse", "retention.ms")),
        (standing(retention_ms="-1"), ("refuse", "retention.ms")),
        (standing(retention_bytes="1000000"), ("alter", "retention.bytes")),
        (standing(cleanup_policy="compact"), ("refuse", "cleanup.policy")),
        (standing(cleanup_policy="compact,delete"), ("refuse", "cleanup.policy")),
        (standing(max_message_bytes="1048588"), ("alter", "max.message.bytes")),
        (standing(min_insync_replicas="1"), ("alter", "min.insync.replicas")),
        (standing(min_insync_replicas="3"), ("refuse", "min.insync.replicas")),
        (standing(unclean_leader_election_enable="true"), ("alter", "unclean.leader.election.enable")),
        (replace(STANDS, partitions=8), ("refuse", "partitions")),
        (replace(STANDS, partitions=2), ("refuse", "partitions")),
        (replace(STANDS, replication=2), ("refuse", "replication")),
    ],
    ids=str,
)
def test_a_difference_is_altered_only_if_keys_and_events_stay(found: Found, verdict: tuple[str, str]) -> None:
    assert verdicts(found) == [verdict]


def test_more_copies_than_declared_are_left_alone() -> None:
    assert verdicts(replace(STANDS, replication=5)) == []


def test_a_refusal_says_what_to_do_and_the_rest_says_nothing() -> None:
    found = replace(standing(retention_ms="-1", cleanup_policy="compact", min_insync_replicas="1"), partitions=8)
    for change in plan([LANE], {LANE.name: found}):
        assert bool(change.do) == (change.verdict == "refuse"), change


def test_every_setting_that_is_wanted_has_a_rule() -> None:
    for topic in wanted(topics.declared().values(), partitions=4, replication=3):
        assert set(topic.config) <= set(RULES), topic.name


def test_with_three_copies_two_must_confirm() -> None:
    declared = topics.declared().values()
    insync = {n: {t.config["min.insync.replicas"] for t in wanted(declared, partitions=4, replication=n)} for n in (1, 2, 3)}
    assert insync == {1: {"1"}, 2: {"1"}, 3: {"2"}}


# -- topics.yaml ---------------------------------------------------------------------------------------------------------


def test_topics_that_share_keys_share_their_partitions() -> None:
    """An email's ledger is on the partition that its email is on, and so is everything of one request or inbound mail."""
    lanes = {name for name, topic in topics.declared().items() if topic.partitions is None}
    assert {topics.EMAILS_URGENT, topics.EMAILS_BULK, topics.DELIVERIES, topics.PAUSED} <= lanes
    assert {topics.MESSAGE_REQUESTS, topics.EXPANSIONS, topics.REQUEST_CONTROLS} <= lanes
    assert {topics.INBOUND_MAIL, topics.ROUTINGS, topics.MODERATION} <= lanes


def test_outcomes_are_kept_for_ever() -> None:
    kept = {name: topics.declared()[name].kept for name in (topics.MESSAGE_REQUESTS, topics.EXPANSIONS, topics.DELIVERIES, topics.ROUTINGS)}
    assert set(kept.values()) == {"for-ever"}


def test_what_can_be_dead_lettered_or_delayed_fits_there() -> None:
    declared = topics.declared()
    room = 64 * 1024  # for what is written around the record
    waiting = {*topics.DELAYS_S, topics.PAUSED}
    delays = {declared[name].max_message_bytes for name in waiting}
    others = [topic.max_message_bytes for name, topic in declared.items() if name not in {topics.DEAD_LETTERS, *waiting}]
    assert min(delays) >= max(others) + room
    assert declared[topics.DEAD_LETTERS].max_message_bytes >= max(delays) + room


def test_every_topic_name_in_code_is_declared_and_every_declared_one_is_named() -> None:
    named = {value for name, value in vars(topics).items() if name.isupper() and isinstance(value, str)}
    assert named | set(topics.DELAYS_S) == set(topics.declared())


def test_agents_and_edges_are_spelled_one_way() -> None:
    """A reader or writer that is misspelled here would look like one that is missing there."""
    known = {"site", "expand", "route", "send", "feedback", "delay", "project", "gateway", "moderator", "operator"}
    for topic in topics.declared().values():
        assert set(topic.written_by) | set(topic.read_by) <= known, topic.name


# -- a topics.yaml that cannot be used ----------------------------------------------------------------------------------------

GOOD = {"description": "d", "key": "k", "partitions": "lanes", "kept": "30 days", "written_by": ["send"], "read_by": [], "events": []}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"retention": "30 days"}, "there is no setting 'retention'; there are description, key"),
        ({"kept": "30 day"}, "kept is for-ever, compacted or N days, not '30 day'"),
        ({"kept": "0 days"}, "kept is for-ever"),
        ({"kept": 30}, "kept is for-ever"),
        ({"partitions": 0}, "partitions is lanes or a number from 1, not 0"),
        ({"partitions": "many"}, "partitions is lanes"),
        ({"partitions": True}, "partitions is lanes"),
        ({"max_message_bytes": "8 MB"}, "max_message_bytes is a number of bytes"),
        ({"like": "nothing"}, "is like no other topic"),
    ],
)
def test_an_unknown_configuration_names_the_topic_and_what_is_wrong(change: dict[str, object], what: str) -> None:
    with pytest.raises(topics.TopicsError, match=re.escape(f"schemas/topics.yaml: topic mail: {what}")):
        topics.parse(yaml.safe_dump({"mail": {**GOOD, **change}}))


@pytest.mark.parametrize("missing", GOOD)
def test_what_is_missing_is_named(missing: str) -> None:
    entry = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(topics.TopicsError, match=f"topic mail: says nothing about {missing}"):
        topics.parse(yaml.safe_dump({"mail": entry}))


@pytest.mark.parametrize("text", ["", "- a\n", "mail:\n", "mail: [", "mail: 3"])
def test_what_is_no_list_of_topics_is_one_line(text: str) -> None:
    with pytest.raises(topics.TopicsError) as refused:
        topics.parse(text)
    assert "\n" not in str(refused.value)


def test_like_takes_over_what_is_not_said() -> None:
    parsed = topics.parse(yaml.safe_dump({"mail": GOOD, "other": {"like": "mail", "kept": "compacted"}}))
    assert parsed["other"] == replace(parsed["mail"], name="other", kept="compacted")
