"""Every page that people see, in a real browser: with the keyboard alone, on a phone, with names for everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from streams.events import Resubscribed, Unsubscribed
from tests.browser.conftest import Site
from tests.services.outgoing import document
from tests.services.until import until
from tests.services.web import ANN, Web, link_token

pytestmark = pytest.mark.browser

WIDE = "<html><p>Dear {{ user.first_name }}</p><table><tr>" + "<td>Mathematics</td>" * 20 + "</tr></table></html>"


def nothing(_: Web) -> None:
    """The page needs no more."""


def left(web: Web) -> None:
    web.suppressed[ANN, "request"] = "unsubscribed"


def stopped(web: Web) -> None:
    web.suppressed[ANN, "*"] = "hard_bounce"


def published(web: Web) -> None:
    web.stands(document("ann", request_id="r1", public=True, subject="Class schedules for {{ user.name }}: " + "x" * 80, body=WIDE))


PAGES: list[tuple[str, Callable[[Web], None], str]] = [
    (f"/unsubscribe/{link_token()}", nothing, "Unsubscribe?"),
    (f"/unsubscribe/{link_token()}", left, "This address is unsubscribed"),
    (f"/preferences/{link_token()}", nothing, "Which mail this address gets"),
    (f"/preferences/{link_token()}", stopped, "Which mail this address gets"),
    ("/email/r1", published, "Class schedules for"),
    ("/no/such/page", nothing, "There is nothing here"),
]


def heading(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "h1").text


def focused(browser: Chrome) -> str:
    return str(browser.execute_script("return (document.activeElement.innerText || document.activeElement.id).trim()"))


def tab_to(browser: Chrome, name: str) -> None:
    """Press Tab until the thing of this name has the focus, as somebody without a mouse does."""
    for _ in range(20):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if focused(browser) == name:
            return
    raise AssertionError(f"no Tab leads to {name}")


@pytest.mark.parametrize(("path", "prepare", "title"), PAGES, ids=["ask", "left", "preferences", "stopped", "public", "nothing"])
def test_a_page_fits_a_phone_and_names_everything(
    browser: Chrome, site: Site, path: str, prepare: Callable[[Web], None], title: str
) -> None:
    prepare(site.web)
    browser.get(site.url + path)
    assert heading(browser).startswith(title)
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
    assert browser.title
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    assert browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    for element in browser.find_elements(By.CSS_SELECTOR, "button, a, input:not([type=hidden]), iframe, fieldset"):
        assert element.accessible_name, element.get_attribute("outerHTML")
    for element in browser.find_elements(By.CSS_SELECTOR, "button, input:not([type=hidden])"):
        assert element.size["height"] >= 24, "too small for a thumb (WCAG 2.2, 2.5.8)"
    complaints = browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's gap
    assert [said["message"] for said in complaints if said["source"] != "network"] == [], "our own policy stops a part of the page"


def test_unsubscribing_and_coming_back_with_the_keyboard_alone(browser: Chrome, site: Site) -> None:
    browser.get(f"{site.url}/unsubscribe/{link_token()}")
    assert site.web.kept == []
    tab_to(browser, "Unsubscribe")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: heading(browser) == "You are unsubscribed", "the page says so")
    tab_to(browser, "Send me this mail again")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: heading(browser) == "You get mail again", "the page says so")
    assert [type(event) for event in site.web.kept] == [Unsubscribed, Resubscribed]


def test_choosing_mail_with_the_keyboard_alone(browser: Chrome, site: Site) -> None:
    browser.get(f"{site.url}/unsubscribe/{link_token()}")
    tab_to(browser, "Choose which mail this address gets")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: heading(browser) == "Which mail this address gets", "the link leads there")
    tab_to(browser, "list")
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    tab_to(browser, "Save")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "[role=status]"), "the page says that it is saved")
    ticked = [box.get_attribute("name") for box in browser.find_elements(By.CSS_SELECTOR, "input:checked")]
    assert ticked == ["request", "alias"]
    assert {event.purpose for event in site.web.kept if isinstance(event, Unsubscribed)} == {"list"}


def test_a_label_is_as_good_as_its_box(browser: Chrome, site: Site) -> None:
    browser.get(f"{site.url}/preferences/{link_token()}")
    browser.find_element(By.CSS_SELECTOR, "label[for=alias]").click()
    assert not browser.find_element(By.ID, "alias").is_selected()


def test_the_text_of_a_public_mail_is_read_in_its_frame_and_cannot_run(browser: Chrome, site: Site) -> None:
    hostile = "<html><p id=said>Hello</p><img src=x onerror=\"parent.document.title='run'\"><script>document.title='run'</script></html>"
    site.web.stands(document("ann", request_id="r2", public=True, body=hostile))
    browser.get(f"{site.url}/email/r2")
    browser.switch_to.frame(0)
    assert "Hello" in browser.find_element(By.TAG_NAME, "body").text
    assert browser.find_elements(By.TAG_NAME, "script") == []
    browser.switch_to.default_content()
    assert browser.title == "News"
