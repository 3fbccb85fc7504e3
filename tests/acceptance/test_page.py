"""The page at `/` in a real browser, on a running system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests import garments

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1200",
)
DONE_WITHIN_S = 120
EVIL = "<img/src=x/onerror=document.title='run'>"


class System(Protocol):
    """A running system; ``gateway`` is its URL."""

    gateway: str


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    if CHROMIUM is None or DRIVER is None:
        if os.environ.get("LOOKSTREAM_REQUIRE_SERVERS") == "1":
            pytest.fail("chromium and chromedriver are required but not installed")
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def photo(tmp_path: Path, name: str = "dress.jpg") -> Path:
    path = tmp_path / name
    garments.dress((600, 800)).save(path)
    return path


def row(browser: webdriver.Chrome, name: str, status: str) -> str:
    """Return the text of the row of ``name`` once its job has this status."""

    def text(_: webdriver.Chrome) -> str | None:
        for each in browser.find_elements(By.CSS_SELECTOR, f"#jobs tr:has(.status.{status})"):
            if each.find_element(By.CSS_SELECTOR, ".name").text == name:
                return each.text
        return None

    return str(wait(browser, text))


def wait(browser: webdriver.Chrome, condition: Callable[[webdriver.Chrome], object]) -> object:
    # A row is drawn anew when its job moves, and may be gone while it is being read.
    patient = WebDriverWait(
        browser, DONE_WITHIN_S, 0.1, ignored_exceptions=[StaleElementReferenceException]
    )
    return patient.until(condition)


def errors_of(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def test_a_photo_is_processed_before_ones_eyes(
    system: System, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    browser.get(system.gateway)
    browser.find_element(By.ID, "files").send_keys(str(photo(tmp_path)))
    text = row(browser, "dress.jpg", "completed")
    for stage in ("validation", "captioning", "classification", "pose", "shots", "annotation"):
        assert stage in text
    assert "%" in text
    assert "1 of 1 completed" in browser.find_element(By.ID, "summary").text
    assert browser.find_element(By.CSS_SELECTOR, ".caption").text
    loaded = "return [...document.querySelectorAll('.frame img')].every(i => i.naturalWidth > 0)"
    wait(browser, lambda driver: driver.execute_script(loaded))
    links = [a.text for a in browser.find_elements(By.CSS_SELECTOR, ".links a")]
    assert {"annotated", "original"} <= set(links)
    browser.refresh()  # the session remembers its jobs
    assert row(browser, "dress.jpg", "completed")
    assert errors_of(browser) == []


def test_what_fails_is_shown_with_stage_and_cause(
    system: System, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    fake = tmp_path / "notes.jpg"
    fake.write_text("this is no picture")
    browser.get(system.gateway)
    browser.find_element(By.ID, "files").send_keys(str(fake))
    text = row(browser, "notes.jpg", "failed")
    assert "validation: not-an-image" in text
    assert "1 failed" in browser.find_element(By.ID, "summary").text
    assert errors_of(browser) == []


def test_text_is_never_run_and_bad_addresses_fail_alone(
    system: System, browser: webdriver.Chrome
) -> None:
    browser.get(system.gateway)
    field = browser.find_element(By.ID, "urls")
    field.send_keys("ftp://example.com/a.jpg", Keys.ENTER, EVIL)
    browser.find_element(By.CSS_SELECTOR, "#intake button").click()
    assert "url-not-allowed" in row(browser, "ftp://example.com/a.jpg", "failed")
    assert "url-invalid" in row(browser, EVIL, "failed")
    assert browser.find_elements(By.CSS_SELECTOR, "#jobs img[src=x]") == []
    assert browser.title == "Lookstream"


def test_it_can_be_used_by_keyboard(system: System, browser: webdriver.Chrome) -> None:
    browser.get(system.gateway)
    focused: list[str | None] = []
    for _ in range(3):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        active = browser.switch_to.active_element
        focused.append(active.get_attribute("id") or active.get_attribute("type"))
    assert focused == ["files", "urls", "submit"]
    for field in ("files", "urls"):
        assert browser.find_elements(By.CSS_SELECTOR, f"label[for={field}]")
    assert browser.find_element(By.ID, "summary").get_attribute("role") == "status"
    heads = browser.find_elements(By.CSS_SELECTOR, "#jobs thead th[scope=col]")
    assert len(heads) == 5


def test_a_photo_dropped_anywhere_is_taken(system: System, browser: webdriver.Chrome) -> None:
    browser.get(system.gateway)
    browser.execute_script(
        """
        const given = new DataTransfer();
        given.items.add(new File(["no picture"], "dropped.jpg", {type: "image/jpeg"}));
        document.body.dispatchEvent(
          new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true}));
        """
    )
    assert "not-an-image" in row(browser, "dropped.jpg", "failed")
