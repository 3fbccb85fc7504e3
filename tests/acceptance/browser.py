"""A real Chromium for the tests of the pages."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from deploy.local.server import dismiss, guard

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

Browser = webdriver.Chrome
T = TypeVar("T")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests, because its start is slow."""
    if CHROMIUM is None or DRIVER is None:
        if os.environ.get("LOOKSTREAM_REQUIRE_SERVERS") == "1":
            pytest.fail("chromium and chromedriver are required but not installed")
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile: Path = tmp_path_factory.mktemp("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    service = Service(DRIVER, popen_kw={"start_new_session": True})
    driver = webdriver.Chrome(options=options, service=service)
    guarding = guard(service.process.pid)
    try:
        yield driver
    finally:
        driver.quit()
        dismiss(guarding)


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """A new tab with its own session storage."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    errors_of(chromium)
    yield chromium
    with contextlib.suppress(WebDriverException):  # closing a tab can time out on a busy machine
        chromium.close()
    chromium.switch_to.window(first)


def wait(browser: Browser, condition: Callable[[Browser], T]) -> T:
    """Return the condition's first true value; elements may be replaced meanwhile."""
    waiting = WebDriverWait(
        browser,
        DONE_WITHIN_S,
        0.05,
        ignored_exceptions=[StaleElementReferenceException, NoSuchElementException],
    )
    return waiting.until(condition)


def texts(browser: Browser, selector: str) -> list[str]:
    """Return the visible texts of all elements that match ``selector``."""
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())"
    return list(browser.execute_script(script, selector))


def count(browser: Browser, selector: str) -> int:
    return len(browser.find_elements(By.CSS_SELECTOR, selector))


def click(browser: Browser, selector: str) -> None:
    """Click the first element that matches ``selector``; retry if the page replaces the element."""

    def clicked(driver: Browser) -> bool:
        driver.find_element(By.CSS_SELECTOR, selector).click()
        return True

    wait(browser, clicked)


def without_scripts(browser: Browser) -> None:
    """Disable JavaScript in this tab."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})


def errors_of(browser: Browser) -> list[str]:
    """Return the console messages since the last call."""
    return [entry["message"] for entry in browser.get_log("browser")]
