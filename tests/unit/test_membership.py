"""A worker is sure of its partitions for a session timeout after the coordinator's last word, and no longer (row F-13)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.membership import LOST_S, Membership, clock
from tests.services.until import until


class HeartbeatRequest:
    pass


class OffsetCommitRequest:
    pass


def listening(membership: Membership, error_code: int) -> Any:
    async def send(_request: Any) -> Any:
        return SimpleNamespace(error_code=error_code)

    coordinator = SimpleNamespace(_send_req=send, _push_error_to_user=None, _coordination_task=asyncio.get_running_loop().create_future())
    membership.listen(SimpleNamespace(_coordinator=coordinator))
    return coordinator._send_req


def test_nobody_is_sure_before_the_first_word() -> None:
    assert not Membership(10.0).sure


def test_sure_for_a_session_timeout_from_when_it_was_asked() -> None:
    membership = Membership(10.0)
    membership.heard(clock() - 9.0)
    assert membership.sure
    membership.heard(clock() - 11.0)
    assert not membership.sure


def test_a_machine_that_slept_is_not_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its monotonic clock slept too; the coordinator has given its partitions away meanwhile."""
    membership, woken = Membership(10.0), clock() + 11.0
    membership.heard(clock())
    monkeypatch.setattr(time, "clock_gettime", lambda _: woken)
    assert not membership.sure


async def test_a_heartbeat_that_was_taken_counts() -> None:
    membership = Membership(10.0)
    await listening(membership, 0)(HeartbeatRequest())
    assert membership.sure


async def test_a_rebalance_or_another_answer_does_not() -> None:
    """Once a rebalance has begun, only the rest of the last session timeout is certain."""
    membership = Membership(10.0)
    await listening(membership, 27)(HeartbeatRequest())
    await listening(membership, 0)(OffsetCommitRequest())
    assert not membership.sure


def test_who_leaves_is_sure_for_its_grace_alone() -> None:
    membership = Membership(10.0)
    membership.heard(clock())
    membership.end_within(5.0)
    assert membership.sure
    membership.end_within(0.0)
    assert not membership.sure


def test_a_worker_that_the_group_has_forgotten_is_lost_unless_it_leaves() -> None:
    lately, long_ago, leaving = (Membership(10.0) for _ in range(3))
    lately.heard(clock() - LOST_S)
    long_ago.heard(clock() - LOST_S - 11.0)
    leaving.heard(clock() - LOST_S - 11.0)
    leaving.end_within(5.0)
    assert [membership.lost for membership in (lately, long_ago, leaving)] == [False, True, False]


def test_only_an_idle_member_that_does_not_join_is_stuck() -> None:
    """Before it was a member it may have to wait for the coordinator, and with records in work for their outcomes."""
    never, member, busy, leaving = (Membership(10.0) for _ in range(4))
    for one in (member, busy, leaving):
        one.heard(clock() - 11.0)
    busy.busy = lambda: True
    leaving.end_within(5.0)
    assert [one.stuck for one in (never, member, busy, leaving)] == [False, True, False, False]
    member.heard(clock())
    assert not member.stuck


def test_a_member_that_takes_nothing_is_stuck_unless_it_waits_for_what_it_has() -> None:
    """Faust gives up to let records flow again where a seek takes longer than it waits for: a member that looks well."""
    still, flowing, busy = (Membership(10.0) for _ in range(3))
    for one in (still, flowing, busy):
        one.heard(clock())
        one.flows = lambda: False
    flowing.flows = busy.busy = lambda: True
    assert [one.stuck for one in (still, flowing, busy)] == [True, False, False]


async def test_a_member_that_waits_for_the_others_is_not_stuck() -> None:
    class JoinGroupRequest:
        pass

    membership, answered = Membership(10.0), asyncio.Event()

    async def send(_request: Any) -> Any:
        await answered.wait()

    membership.heard(clock() - 11.0)
    join = asyncio.create_task(cast("Coroutine[Any, Any, None]", membership._hearing(send)(JoinGroupRequest())))
    await asyncio.sleep(0)
    assert not membership.stuck
    answered.set()
    await join
    assert membership.stuck


def test_the_guard_ends_a_lost_worker_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.membership.LOOK_S", 0.01)
    said: list[str] = []
    membership = Membership(10.0)
    membership.guard("", said.append)
    assert not membership.lost
    membership.heard(clock() - LOST_S - 11.0)
    until(lambda: said, "the guard has seen it")
    assert said == ["the group has not heard of this worker since its session ended 241 s ago"]


def test_the_guard_ends_a_member_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.membership.LOOK_S", 0.01)
    monkeypatch.setattr("streams.membership.STUCK_S", 0.05)
    monkeypatch.setattr("streams.membership.reachable", lambda _: True)
    said: list[str] = []
    membership = Membership(10.0)
    membership.flows = lambda: False
    membership.guard("", said.append)
    membership.heard(clock())
    until(lambda: said, "the guard has seen it")
    assert said == ["this worker is a member of its group, but takes no records"]
