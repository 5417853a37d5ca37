"""Who may be the sender (spec 5.1, spec 8 rows 20 and 58)."""

from __future__ import annotations

import pytest

from streams.domain.addresses import AddressError
from streams.domain.outgoing.from_rule import default_sender, read_sender
from streams.events import Site

SITE = Site("yale.learningu.org", "Yale Splash", "emailbounces@learningu.org", "")
OWN_SITE = Site("splash.example.edu", "Splash", "b@example.edu", "")


@pytest.mark.parametrize(
    ("written", "sender"),
    [
        ("x@a.b.learningu.org", "x@a.b.learningu.org"),
        ("x@a-b.learningu.org", "x@a-b.learningu.org"),
        ('"Yale Splash" <x@learningu.org>', '"Yale Splash" <x@learningu.org>'),
        ('Al "Q" <x@learningu.org>', None),
        ("Yale. Splash <x@learningu.org>", '"Yale. Splash" <x@learningu.org>'),
        ("Zo\u00eb Splash <x@learningu.org>", "Zo\u00eb Splash <x@learningu.org>"),
        ("x@_a.learningu.org", None),
        ("x@gmail.com, y@learningu.org", None),
        ("x@learningu.org\nBcc: y@z.org", None),
        ("x@learningu.org.evil.com", None),
        ("x@.learningu.org", None),
        ("nobody", None),
        ("x@learningu.org>", None),
        ('"A" <"a<b>"@learningu.org>', '"A" <"a<b>"@learningu.org>'),
    ],
)  # fmt: skip
def test_a_sender(written: str, sender: str | None) -> None:
    if sender is not None:
        assert read_sender(written, SITE) == sender
        return
    with pytest.raises(AddressError):
        read_sender(written, SITE)


def test_the_narrow_rule_knows_direct_subdomains_only() -> None:
    assert read_sender("x@mit.learningu.org", SITE, one_label=True) == "x@mit.learningu.org"
    with pytest.raises(AddressError, match="may not be the sender"):
        read_sender("x@a.mit.learningu.org", SITE, one_label=True)


def test_a_site_elsewhere_may_use_its_own_domain_only_besides() -> None:
    assert read_sender("x@splash.example.edu", OWN_SITE) == "x@splash.example.edu"
    with pytest.raises(AddressError, match=r"splash\.example\.edu"):
        read_sender("x@example.edu", OWN_SITE)


@pytest.mark.parametrize(
    ("group", "sender"),
    [
        ("Splash", "Splash <info@d.org>"),
        ("A, B", '"A, B" <info@d.org>'),
        ("", "info@d.org"),
        ("a\r\nBcc: x@y.org", '"a Bcc: x@y.org" <info@d.org>'),
        ("a\u2028b", '"a b" <info@d.org>'),
    ],
)
def test_the_default_sender(group: str, sender: str) -> None:
    assert default_sender(Site("d.org", group, "", "")) == sender
