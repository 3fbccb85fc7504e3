"""The parts that all pages share, in a real browser: navigation, dialogs, notifications, tables."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.acceptance.browser import Browser, click, count, errors_of, texts, wait
from tests.acceptance.system import System

pytestmark = pytest.mark.parametrize("lasting_system", ["embedded"], indirect=True)

PHONE = 390
ONE_SHOWN = "return document.querySelectorAll('.notification').length === 1"


@pytest.fixture
def phone(browser: Browser) -> Iterator[Browser]:
    """The browser at the width of a phone."""
    resize(browser, PHONE)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def resize(browser: Browser, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def with_module(browser: Browser, name: str, statements: str) -> None:
    """Import a module of the shell, and run statements with its exports as ``module``."""
    called = f"(module) => {{ {statements}; done(); }}"
    browser.execute_async_script(
        f"const done = arguments[0]; import('/pages/shell/{name}').then({called});"
    )


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def focused(browser: Browser) -> str:
    """Return the accessible name of the focused element."""
    return str(browser.switch_to.active_element.accessible_name)


def box(browser: Browser, selector: str) -> dict[str, float]:
    script = "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()"
    return dict(browser.execute_script(script, selector))


def show_uploads(browser: Browser, system: System, *names: str) -> list[str]:
    """Submit files that are not images, and show their jobs on the upload page, oldest first."""
    ids = system.submit(*(name.encode() for name in names))
    system.finish_all(ids)
    kept = [{"id": job, "name": name} for job, name in zip(ids, names, strict=True)]
    browser.get(system.gateway)
    browser.execute_script(
        "sessionStorage.setItem('lookstream.jobs', arguments[0])", json.dumps(kept)
    )
    browser.refresh()
    wait(browser, lambda driver: count(driver, "#jobs .status.failed") == len(names))
    return ids


def names(browser: Browser) -> list[str]:
    return texts(browser, "#jobs .name")


def test_the_navigation_works_on_a_phone(system: System, phone: Browser) -> None:
    phone.get(system.gateway)
    for place in ("Skip to content", "Lookstream", "Upload", "Gallery"):
        press(phone, Keys.TAB)
        assert focused(phone) == place
        at = box(phone, ":focus")
        assert at["left"] >= 0
        assert at["right"] <= PHONE
    assert box(phone, ".navigation a")["height"] >= 44
    press(phone, Keys.ENTER)
    wait(phone, lambda driver: driver.current_url == f"{system.gateway}/gallery")
    assert texts(phone, "[aria-current=page]") == ["Gallery"]
    for name in ("Operations", "Catalogue", "Listings", "Groups", "Keys"):
        phone.execute_script(
            """
            const link = document.querySelector(".navigation li").cloneNode(true);
            link.firstChild.textContent = arguments[0];
            document.querySelector(".navigation").append(link);
            """,
            name,
        )
    assert phone.execute_script("return document.documentElement.scrollWidth") == PHONE
    links = phone.find_elements(By.CSS_SELECTOR, ".navigation a")
    assert all(link.rect["x"] + link.rect["width"] <= PHONE for link in links)
    assert errors_of(phone) == []


def test_a_dialog_holds_the_focus_and_gives_it_back(system: System, browser: Browser) -> None:
    show_uploads(browser, system, "kept.jpg")
    delete = browser.find_element(By.CSS_SELECTOR, "[data-act=delete]")
    delete.send_keys(Keys.ENTER)
    dialog = browser.find_element(By.CSS_SELECTOR, "dialog")
    assert dialog.accessible_name == "Delete kept.jpg?"
    assert dialog.aria_role == "dialog"
    described = (
        "return document.getElementById(arguments[0].getAttribute('aria-describedby')).innerText"
    )
    assert "cannot undo" in browser.execute_script(described, dialog)
    assert focused(browser) == "Cancel"
    press(browser, Keys.TAB)
    assert focused(browser) == "Delete"
    behind = "return document.activeElement.matches('main *, header *, footer *')"
    for _ in range(3):
        press(browser, Keys.TAB)
        assert not browser.execute_script(behind)

    press(browser, Keys.ESCAPE)
    wait(browser, lambda driver: count(driver, "dialog") == 0)
    assert focused(browser) == "Delete: kept.jpg"
    assert names(browser) == ["kept.jpg"]


def test_a_dialog_finds_its_opener_in_a_replaced_row(system: System, browser: Browser) -> None:
    show_uploads(browser, system, "changed.jpg")
    click(browser, "[data-act=delete]")
    browser.execute_script(
        """
        const row = document.querySelector("#jobs tbody tr");
        row.replaceChildren(...[...row.children].map((cell) => cell.cloneNode(true)));
        """
    )
    press(browser, Keys.ESCAPE)
    wait(browser, lambda driver: focused(driver) == "Delete: changed.jpg")


def test_a_deletion_is_announced_and_moves_the_focus(system: System, browser: Browser) -> None:
    show_uploads(browser, system, "stays.jpg", "goes.jpg")
    click(browser, "[data-act=delete]")
    click(browser, "dialog .danger")
    wait(browser, lambda driver: texts(driver, "#notices p") == ["goes.jpg is deleted."])
    assert names(browser) == ["stays.jpg"]
    assert browser.find_element(By.ID, "notices").aria_role == "status"
    assert browser.execute_script("return document.activeElement.closest('#jobs tr') !== null")


def test_a_refused_action_is_announced_at_once(system: System, browser: Browser) -> None:
    """An error names the object, and stays until the user dismisses it."""
    (job,) = show_uploads(browser, system, "unreachable.jpg")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [f"*/v1/jobs/{job}/runs"]})
    click(browser, "[data-act=again]")
    (error,) = wait(browser, lambda driver: texts(driver, "#alerts p"))
    assert error == "unreachable.jpg: The server did not answer. (gateway-unreachable)"
    assert browser.find_element(By.ID, "alerts").aria_role == "alert"
    click(browser, "[data-act=again]")  # the same error is shown once
    assert browser.execute_script(ONE_SHOWN)

    close = browser.find_element(By.CSS_SELECTOR, ".notification button")
    assert close.accessible_name == f"Dismiss: {error}"
    close.send_keys(Keys.ENTER)
    assert texts(browser, "#alerts p") == []
    assert browser.switch_to.active_element.tag_name == "main"


def test_a_notification_covers_no_content(system: System, phone: Browser) -> None:
    """It takes the lower part of the window. The place on the page and the focus stay in view."""
    show_uploads(phone, system, *(f"{number}.jpg" for number in range(4)))
    phone.execute_script("scrollTo(0, 300)")
    before = box(phone, "main")["top"]
    with_module(phone, "notifications.js", "module.notify('Read me', {key: 'test'})")
    assert box(phone, "main")["top"] == before
    assert box(phone, ".scroller")["bottom"] <= box(phone, ".notification")["top"]
    phone.find_element(By.ID, "clear").send_keys(Keys.TAB)
    for _ in range(12):
        assert box(phone, ":focus")["top"] >= 0
        assert box(phone, ":focus")["bottom"] <= box(phone, ".notifications")["top"] + 1
        press(phone, Keys.TAB)
    phone.execute_script("document.querySelector('footer').scrollIntoView()")
    assert box(phone, "footer")["bottom"] <= box(phone, ".notification")["top"]
    phone.execute_script("document.querySelector('.scroller').scrollTop = 200")
    before = box(phone, "main")["top"]
    with_module(phone, "notifications.js", "module.dismiss('test')")
    assert box(phone, "main")["top"] == before
    assert count(phone, ".notification") == 0


def test_a_notification_reaches_the_next_page(system: System, browser: Browser) -> None:
    (job,) = system.submit(b"left behind")
    system.finish(job)
    browser.get(f"{system.gateway}/gallery/{job}")
    click(browser, "[data-act=delete]")
    click(browser, "dialog .danger")
    wait(browser, lambda driver: driver.current_url == f"{system.gateway}/gallery")
    (text,) = wait(browser, lambda driver: texts(driver, "#notices p"))
    assert text.endswith("is deleted.")
    browser.refresh()
    assert texts(browser, "#notices p") == []
    assert errors_of(browser) == []


def test_a_table_is_sorted_and_keeps_the_focus(system: System, browser: Browser) -> None:
    show_uploads(browser, system, "b 10.jpg", "b 9.jpg", "a.jpg")
    assert names(browser) == ["a.jpg", "b 9.jpg", "b 10.jpg"]  # the newest first
    header = browser.find_element(By.CSS_SELECTOR, "#jobs thead th")
    button = header.find_element(By.CSS_SELECTOR, ".sort")
    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "ascending"
    assert names(browser) == ["a.jpg", "b 9.jpg", "b 10.jpg"]  # by number, not by digit
    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "descending"
    assert names(browser) == ["b 10.jpg", "b 9.jpg", "a.jpg"]
    assert focused(browser) == "Photo"
    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") is None
    assert names(browser) == ["a.jpg", "b 9.jpg", "b 10.jpg"]


def test_a_table_becomes_cards_on_a_phone(system: System, phone: Browser) -> None:
    show_uploads(phone, system, "card.jpg")
    assert phone.execute_script("return document.documentElement.scrollWidth") == PHONE
    cells = phone.find_elements(By.CSS_SELECTOR, "#jobs tbody tr > *")
    visible = [each.rect for each in cells if each.is_displayed()]
    assert len(visible) >= 3
    assert len({rect["x"] for rect in visible}) == 1, "the cells are not below each other"
    label = "return getComputedStyle(document.querySelector(arguments[0]), '::before').content"
    assert phone.execute_script(label, "#jobs td[data-title=Description]") == '"Description"'
    assert phone.execute_script(label, "#jobs td[data-title=Actions]") == "none"
    assert texts(phone, "#jobs thead .sort") == ["Photo", "Description", "Progress"]
    roles = [each.aria_role for each in cells if each.is_displayed()]
    assert roles[0] == "rowheader"
    assert set(roles[1:]) == {"cell"}
    resize(phone, 1400)
    tops = {each.rect["y"] for each in phone.find_elements(By.CSS_SELECTOR, "#jobs tbody tr > *")}
    assert len(tops) == 1


def test_a_table_says_that_it_is_empty_or_loading(system: System, browser: Browser) -> None:
    browser.get(system.gateway)
    assert browser.find_element(By.ID, "jobs-empty").is_displayed()
    loading = """
        const table = new module.DataTable("jobs", {cells: () => [], sortBy: {}});
        table.setLoading(true);
    """
    with_module(browser, "tables.js", loading)
    assert texts(browser, ".nothing[role=status]") == ["Loading…"]
    assert not browser.find_element(By.ID, "jobs-empty").is_displayed()
    with_module(browser, "tables.js", loading.replace("true", "false"))
    assert browser.find_element(By.ID, "jobs-empty").is_displayed()
    assert not browser.find_element(By.ID, "jobs-loading").is_displayed()


def test_a_field_shows_its_error(system: System, browser: Browser) -> None:
    browser.get(system.gateway)
    field = browser.find_element(By.ID, "urls")
    assert field.get_attribute("aria-invalid") is None
    click(browser, "#upload button")
    assert texts(browser, "#urls-problem") == ["Enter at least one link."]
    assert field.get_attribute("aria-invalid") == "true"
    assert field.get_attribute("aria-describedby") == "urls-hint urls-problem"
    assert browser.switch_to.active_element == field
    field.send_keys("ftp://example.com/a.jpg")
    click(browser, "#upload button")
    assert field.get_attribute("aria-invalid") is None
    assert not browser.find_element(By.ID, "urls-problem").is_displayed()
