"""Counting who is inside."""

from __future__ import annotations

from gateway.limits import Doors, Limits


def test_one_client_cannot_take_all_places() -> None:
    doors = Doors(Limits(connections=3, connections_per_client=2))
    assert [doors.enter("10.0.0.1") for _ in range(3)] == [True, True, False]
    assert doors.enter("10.0.0.2")
    assert not doors.enter("10.0.0.3")
    doors.leave("10.0.0.1")
    assert doors.enter("10.0.0.3")


def test_clients_of_a_unix_socket_count_only_in_all() -> None:
    doors = Doors(Limits(connections=3, connections_per_client=1))
    assert [doors.enter("") for _ in range(4)] == [True, True, True, False]


def test_whoever_left_is_forgotten() -> None:
    doors = Doors(Limits(connections=1))
    for number in range(1000):
        assert doors.enter(f"10.0.{number // 256}.{number % 256}")
        doors.leave(f"10.0.{number // 256}.{number % 256}")
    assert vars(doors)["_inside"] == {}
