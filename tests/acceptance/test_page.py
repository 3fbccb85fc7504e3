"""The upload page in a real browser, on a running system."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests import garments
from tests.acceptance.browser import Browser, click, errors_of, texts, wait
from tests.acceptance.rest import fetched
from tests.acceptance.system import System

pytestmark = pytest.mark.parametrize("lasting_system", ["embedded"], indirect=True)

EVIL = "<img/src=x/onerror=document.title='run'>"
# Records the number of completed stages at each change of the table.
WATCH_STAGES = """
    window.steps = [];
    new MutationObserver(() => {
      const done = document.querySelectorAll(".stages .completed").length;
      if (done !== window.steps.at(-1)) window.steps.push(done);
    }).observe(document.querySelector("#jobs"), {childList: true, subtree: true});
"""


def photo(tmp_path: Path, name: str, colour: str) -> Path:
    path = tmp_path / name
    garments.dress((600, 800), colour).save(path)
    return path


def fake(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.write_text("this is no picture")
    return path


def upload(browser: Browser, *photos: Path) -> None:
    browser.find_element(By.ID, "files").send_keys("\n".join(str(each) for each in photos))


def row(browser: Browser, name: str, status: str) -> str:
    """Return the text of the row of ``name`` once its job has this status."""

    def text(_: Browser) -> str | None:
        for each in browser.find_elements(By.CSS_SELECTOR, f"#jobs tr:has(.status.{status})"):
            if each.find_element(By.CSS_SELECTOR, ".name").text == name:
                return each.text
        return None

    return str(wait(browser, text))


def job_id(browser: Browser) -> str:
    """Return the id of the only photo."""
    (address,) = browser.find_elements(By.CSS_SELECTOR, ".name a")
    return str(address.get_attribute("href")).rpartition("/")[2]


def requested(browser: Browser) -> list[str]:
    """Return the URLs that the page has requested."""
    script = "return performance.getEntriesByType('resource').map(({name}) => name)"
    return list(browser.execute_script(script))


def summary(browser: Browser) -> str:
    return browser.find_element(By.ID, "summary").text


def total(system: System) -> int:
    with system.http() as http:
        answer = http.get("/v1/jobs", params={"counts": "true", "limit": 1})
    counted: int = answer.json()["counts"]["total"]
    return counted


def holds_back(browser: Browser) -> bool:
    """Return whether the page asks for confirmation before the user leaves."""
    script = """
        const leaving = new Event("beforeunload", {cancelable: true});
        window.dispatchEvent(leaving);
        return leaving.defaultPrevented;
    """
    return bool(browser.execute_script(script))


def listeners(system: System) -> float:
    """Return the number of open event streams of the gateway."""
    metrics = fetched(f"{system.gateway}/metrics").decode()
    ((sample,),) = (
        family.samples
        for family in text_string_to_metric_families(metrics)
        if family.name == "lookstream_gateway_sse_listeners"
    )
    return sample.value


def test_a_photos_progress_is_shown_live(system: System, browser: Browser, tmp_path: Path) -> None:
    browser.get(system.gateway)
    assert not browser.find_element(By.ID, "clear").is_displayed()
    browser.execute_script(WATCH_STAGES)
    upload(browser, photo(tmp_path, "dress.jpg", "rebeccapurple"))
    text = row(browser, "dress.jpg", "completed")
    for stage in ("validation", "captioning", "classification", "pose", "shots", "annotation"):
        assert stage in text
    assert "%" in text
    assert "1 of 1 completed" in summary(browser)
    assert browser.find_element(By.CSS_SELECTOR, ".caption").text
    loaded = "return [...document.querySelectorAll('.frame img')].every(i => i.naturalWidth > 0)"
    wait(browser, lambda driver: driver.execute_script(loaded))
    assert {"annotated", "full size"} <= set(texts(browser, ".links a"))

    steps = browser.execute_script("return window.steps")
    assert steps[-1] == 7
    assert any(0 < step < 7 for step in steps), "the stages completed all at once"
    assert [url for url in requested(browser) if "wait=2" in url] == [], (
        "the page polled in spite of the stream"
    )

    browser.refresh()  # session storage keeps the jobs
    assert row(browser, "dress.jpg", "completed")
    assert errors_of(browser) == []


def test_a_job_is_run_again_and_deleted(system: System, browser: Browser, tmp_path: Path) -> None:
    browser.get(system.gateway)
    upload(browser, photo(tmp_path, "again.jpg", "goldenrod"))
    row(browser, "again.jpg", "completed")
    job = job_id(browser)

    click(browser, "[data-act=again]")
    assert wait(browser, lambda _: (system.job(job) or {})["run"] == 2)
    system.finish(job)
    row(browser, "again.jpg", "completed")

    click(browser, "[data-act=delete]")
    dialog = browser.find_element(By.CSS_SELECTOR, "dialog")
    assert "Delete again.jpg?" in dialog.text
    ActionChains(browser).send_keys(Keys.ENTER).perform()  # the focus is on Cancel
    assert row(browser, "again.jpg", "completed")
    assert browser.find_elements(By.CSS_SELECTOR, "dialog") == []

    click(browser, "[data-act=delete]")
    click(browser, "dialog .danger")
    wait(browser, lambda driver: not driver.find_element(By.ID, "jobs").is_displayed())
    assert system.job(job) is None
    browser.refresh()
    assert texts(browser, "#jobs tbody tr") == []
    assert errors_of(browser) == []


def test_a_failure_is_shown_with_stage_and_code(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    browser.get(system.gateway)
    upload(browser, fake(tmp_path, "notes.jpg"))
    text = row(browser, "notes.jpg", "failed")
    assert "validation: not-an-image" in text
    assert "1 failed" in summary(browser)
    assert errors_of(browser) == []


def test_a_job_deleted_by_another_client_disappears(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    browser.get(system.gateway)
    upload(browser, fake(tmp_path, "short-lived.jpg"))
    row(browser, "short-lived.jpg", "failed")
    with system.http() as http:
        assert http.delete(f"/v1/jobs/{job_id(browser)}").status_code == 204
    wait(browser, lambda driver: texts(driver, "#jobs tbody tr") == [])


def test_without_a_stream_it_polls(system: System, browser: Browser, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/events"]})
    browser.get(system.gateway)
    upload(browser, fake(tmp_path, "polled.jpg"))
    row(browser, "polled.jpg", "failed")


def test_a_hidden_page_closes_its_stream(system: System, browser: Browser) -> None:
    browser.get(system.gateway)
    wait(browser, lambda _: listeners(system) == 1)
    page = browser.current_window_handle
    browser.switch_to.new_window("tab")
    wait(browser, lambda _: listeners(system) == 0)
    browser.close()
    browser.switch_to.window(page)
    wait(browser, lambda _: listeners(system) == 1)


def test_the_page_reconnects_after_a_gateway_restart(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    browser.get(system.gateway)
    upload(browser, fake(tmp_path, "before.jpg"))
    row(browser, "before.jpg", "failed")
    for process in system.running_as("gateway"):
        os.kill(process.pid, signal.SIGKILL)
    wait(browser, lambda driver: "does not answer" in texts(driver, "#notices")[0])
    wait(browser, lambda driver: texts(driver, "#notices") == [""])
    (failed,) = system.submit(b"no picture either")
    system.finish(failed)
    upload(browser, fake(tmp_path, "after.jpg"))
    row(browser, "after.jpg", "failed")
    assert [url for url in requested(browser) if "wait=2" in url] == []


def test_uploads_are_retried_after_a_gateway_crash(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    """Each photo becomes one job, and leaving the page meanwhile needs a confirmation."""
    browser.get(system.gateway)
    before = total(system)
    (gateway,) = system.running_as("gateway")
    os.kill(gateway.pid, signal.SIGSTOP)  # so that no upload completes
    names = [f"{number}.jpg" for number in range(6)]
    upload(browser, *(fake(tmp_path, name) for name in names))
    row(browser, names[-1], "waiting")
    assert holds_back(browser)
    os.kill(gateway.pid, signal.SIGKILL)
    row(browser, names[0], "retrying")
    for name in names:
        assert "not-an-image" in row(browser, name, "failed")
    assert not holds_back(browser)
    assert total(system) == before + len(names)


def test_text_is_never_run_and_each_bad_link_fails_alone(system: System, browser: Browser) -> None:
    browser.get(system.gateway)
    field = browser.find_element(By.ID, "urls")
    field.send_keys("ftp://example.com/a.jpg", Keys.ENTER, EVIL)
    click(browser, "#upload button")
    assert "url-not-allowed" in row(browser, "ftp://example.com/a.jpg", "failed")
    assert "url-invalid" in row(browser, EVIL, "failed")
    assert browser.find_elements(By.CSS_SELECTOR, "#jobs img[src=x]") == []
    assert browser.title == "Lookstream"
    click(browser, "[data-act=remove]")
    assert len(texts(browser, "#jobs tbody tr")) == 1


def test_the_page_works_by_keyboard(system: System, browser: Browser) -> None:
    browser.get(system.gateway)
    focused: list[str | None] = []
    for _ in range(7):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        active = browser.switch_to.active_element
        focused.append(active.get_attribute("id") or active.text)
    pages = ["Skip to content", "Lookstream", "Upload", "Gallery"]
    assert focused == [*pages, "files", "urls", "Add links"]
    for field in ("files", "urls"):
        assert browser.find_elements(By.CSS_SELECTOR, f"label[for={field}]")
    assert browser.find_element(By.ID, "summary").get_attribute("role") == "status"
    heads = browser.find_elements(By.CSS_SELECTOR, "#jobs thead th[scope=col]")
    assert len(heads) == 6


def test_a_photo_dropped_anywhere_is_uploaded(system: System, browser: Browser) -> None:
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
