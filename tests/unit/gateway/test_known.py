"""Whether anybody could reach an address, in the world of spec 9."""

from __future__ import annotations

import pytest

from streams.domain.routing.known import is_known
from tests.services.inbound import DOMAIN, directory, world


@pytest.mark.parametrize(
    ("local_part", "known"),
    [
        ("m123-class", True),
        ("M123-Class+tag", True),
        ("m99999-class", False),
        ("nobody-here", False),
        ("postmaster", True),
        ("abuse", True),
        ("", False),
        ("a%b", False),
    ],
)
def test_by_the_rules_in_force(local_part: str, known: bool) -> None:
    assert is_known(f"{local_part}@{DOMAIN}", directory()) is known


@pytest.mark.parametrize("role", ["support", "default"])
def test_the_sites_own_addresses_are_known(role: str) -> None:
    here = directory(site={**world()["site"], role: f"office@{DOMAIN}"})
    assert is_known(f"office@{DOMAIN}", here)
    assert is_known(f"Office+3f2b@{DOMAIN}", here)
    assert not is_known(f"office@{DOMAIN}", directory())


def test_an_account_is_known_whatever_its_role() -> None:
    for person in world()["people"]:
        same = [other for other in world()["people"] if other["username"].lower() == person["username"].lower()]
        assert is_known(f"{person['username']}@{DOMAIN}", directory()) is (len(same) == 1)


def test_another_domain_is_not_here() -> None:
    assert not is_known("m123-class@elsewhere.org", directory())
