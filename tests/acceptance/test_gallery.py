"""The gallery in a real browser, with JavaScript and without, on a running system."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.acceptance.browser import Browser, click, count, errors_of, texts, wait, without_scripts
from tests.acceptance.photos import photo
from tests.acceptance.rest import Job
from tests.acceptance.system import System
from tests.acceptance.topics import attributes, headers, new_job_id, publish
from tests.vectors import along, like

pytestmark = pytest.mark.parametrize("lasting_system", ["embedded"], indirect=True)

EVIL = "</p><img src=x onerror=document.title='run'><script>document.title='run'</script>"
A_PAGE = 48


def show(browser: Browser, system: System, **filters: str) -> None:
    browser.get(f"{system.gateway}/gallery?{urlencode(filters)}")


def captioned(system: System, name: str, group: str) -> Job:
    (job,) = system.completed(photo(name), group=group, stages="captioning,thumbnailing")
    return job


def failing(system: System, group: str, count: int) -> list[str]:
    """Submit files that are not images; their jobs fail quickly."""
    ids = system.submit(*(f"{group} {number}".encode() for number in range(count)), group=group)
    system.finish_all(ids)
    return ids


def claim(system: System, stage: str, topic: str, **said: object) -> str:
    """Publish a stage result like a foreign producer; return the job id."""
    job_id = new_job_id()
    data = {"job_id": job_id, "sha256": "ab" * 32, "stages": [stage], "model": "astray", **said}
    with system.http() as http:
        broker = http.get("/v1/info").json()["kafka"]
    publish(
        broker,
        job_id,
        json.dumps(data).encode(),
        headers(attributes(type=f"lookstream.{topic}.v1")),
        topic=topic,
    )
    system.finish(job_id)
    return job_id


def compared(system: System, embedding: str, sha256: str) -> str:
    """Publish a classification with a vector."""
    said = {"top5": [{"label": "dress", "probability": 0.6}], "embedding": embedding}
    return claim(system, "classification", "image-classified", sha256=sha256, **said)


def delete(system: System, job_id: str) -> None:
    with system.http() as http:
        assert http.delete(f"/v1/jobs/{job_id}").status_code == 204


def fill(browser: Browser, name: str, text: str) -> None:
    field = browser.find_element(By.ID, name)
    field.clear()
    field.send_keys(text)


def mark_this_page(browser: Browser) -> None:
    browser.execute_script("window.kept = true")


def is_the_page_marked(browser: Browser) -> bool:
    return bool(browser.execute_script("return window.kept"))


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_filters_select_cards(system: System, browser: Browser, scripts: bool) -> None:
    group = f"filtered with scripts {scripts}"
    job = captioned(system, group, group)
    failing(system, group, 2)
    if not scripts:
        without_scripts(browser)
    show(browser, system)
    if scripts:
        mark_this_page(browser)
    fill(browser, "group", group)
    click(browser, "#filters button")
    wait(browser, lambda driver: texts(driver, "#total") == ["3 matching photos"])

    Select(browser.find_element(By.ID, "status")).select_by_visible_text("failed")
    click(browser, "#filters button")
    wait(browser, lambda driver: texts(driver, "#total") == ["2 matching photos"])
    assert "validation: not-an-image" in texts(browser, ".card .cause")[0]

    Select(browser.find_element(By.ID, "status")).select_by_visible_text("any")
    fill(browser, "type", job["attributes"]["type"]["value"].upper())
    fill(browser, "q", job["caption"].split()[-1])
    click(browser, "#filters button")
    wait(browser, lambda driver: texts(driver, "#total") == ["1 matching photo"])
    assert texts(browser, ".card .caption") == [job["caption"]]
    assert scripts == is_the_page_marked(browser)

    fill(browser, "q", "nosuchword")
    click(browser, "#filters button")
    wait(browser, lambda driver: texts(driver, ".nothing") == ["No photos match. Show all photos."])
    assert "q=nosuchword" in browser.current_url
    browser.back()
    wait(browser, lambda driver: texts(driver, "#total") == ["1 matching photo"])
    assert errors_of(browser) == []


def test_show_more_appends_cards(system: System, browser: Browser) -> None:
    ids = failing(system, "many", A_PAGE + 2)
    show(browser, system, group="many")
    mark_this_page(browser)
    assert count(browser, ".card") == A_PAGE
    click(browser, "#more a")
    wait(browser, lambda driver: count(driver, ".card") == A_PAGE + 2)
    assert is_the_page_marked(browser)
    assert texts(browser, "#more a") == []
    order = "return [...document.querySelectorAll('#cards > *')].map(({id}) => id)"
    assert browser.execute_script(order) == [f"job-{each}" for each in ids[::-1]]
    last = browser.switch_to.active_element.get_attribute("href")
    assert last == f"{system.gateway}/gallery/{ids[1]}"

    with system.http() as http:  # a change also updates the appended cards
        assert http.post(f"/v1/jobs/{ids[0]}/runs").status_code == 202
    wait(browser, lambda driver: _mark(driver, ids[0]).startswith("2."))

    without_scripts(browser)
    show(browser, system, group="many")
    click(browser, "#more a")
    assert count(browser, ".card") == 2
    click(browser, "#results p a")
    assert count(browser, ".card") == A_PAGE


def _mark(browser: Browser, job_id: str) -> str:
    return str(browser.find_element(By.ID, f"job-{job_id}").get_attribute("data-mark"))


def test_a_new_job_appears_and_a_deleted_job_disappears(system: System, browser: Browser) -> None:
    show(browser, system, group="live")
    mark_this_page(browser)
    assert texts(browser, ".nothing") == ["No photos match. Show all photos."]
    for number in (1, 2):
        job = captioned(system, f"live {number}", "live")
        wait(browser, lambda driver, n=number: texts(driver, ".status") == ["completed"] * n)
        assert texts(browser, ".card .caption")[0] == job["caption"]
    loaded = "return [...document.querySelectorAll('.card img')].every(i => i.naturalWidth > 0)"
    wait(browser, lambda driver: driver.execute_script(loaded))
    delete(system, job["job_id"])
    wait(browser, lambda driver: count(driver, ".card") == 1)
    wait(browser, lambda driver: texts(driver, "#total") == ["1 matching photo"])
    (left,) = browser.find_elements(By.CSS_SELECTOR, ".card")
    delete(system, str(left.get_attribute("id")).removeprefix("job-"))
    wait(browser, lambda driver: texts(driver, ".nothing") == ["No photos match. Show all photos."])
    assert is_the_page_marked(browser)
    assert errors_of(browser) == []


def test_a_job_has_a_page_of_its_own(system: System, browser: Browser) -> None:
    (job,) = system.completed(photo("a page of its own"), group="own page")
    show(browser, system, group="own page")
    click(browser, ".card a")
    wait(browser, lambda driver: texts(driver, "h1") == [job["caption"]])
    assert texts(browser, ".shots figcaption")[0].startswith(job["shots"][0]["label"])
    assert {"full size", "annotated", "all results as JSON"} <= set(texts(browser, ".links a"))
    assert count(browser, ".top5 li") == 5
    loaded = "return document.querySelector('.large img').naturalWidth === 1000"
    wait(browser, lambda driver: driver.execute_script(loaded))

    click(browser, "[data-act=again]")
    wait(browser, lambda driver: texts(driver, "#job [role=status]") == ["completed run 2"])
    click(browser, "[data-act=delete]")
    click(browser, "dialog .danger")
    wait(browser, lambda driver: driver.current_url == f"{system.gateway}/gallery")
    assert errors_of(browser) == []
    browser.get(f"{system.gateway}/gallery/{job['job_id']}")
    assert texts(browser, "h1") == ["Photo not found"]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_similar_photos_are_shown_on_click(system: System, browser: Browser, scripts: bool) -> None:
    asked, far, near = (
        compared(system, vector, f"{number:064x}")
        for number, vector in enumerate((along(0), like(0.25), like(0.75)))
    )
    if not scripts:
        without_scripts(browser)
    browser.get(f"{system.gateway}/gallery/{asked}")
    if scripts:
        mark_this_page(browser)
    browser.find_element(By.CSS_SELECTOR, "#similar a").send_keys(Keys.ENTER)
    wait(browser, lambda driver: texts(driver, ".similarity")[:2] == ["75% similar", "25% similar"])
    shown = [each.get_attribute("id") for each in browser.find_elements(By.CSS_SELECTOR, ".card")]
    assert shown[:2] == [f"job-{near}", f"job-{far}"]
    if scripts:
        assert is_the_page_marked(browser)
        followed = browser.switch_to.active_element.get_attribute("href")
        assert followed == f"{system.gateway}/gallery/{near}"
    else:
        assert browser.current_url == f"{system.gateway}/gallery/{asked}/similar"
    assert errors_of(browser) == []
    for job_id in (asked, far, near):
        delete(system, job_id)


def test_text_from_users_is_never_html(system: System, browser: Browser) -> None:
    claimed = claim(system, "captioning", "image-captioned", caption=EVIL[:80])
    metadata = json.dumps({EVIL: EVIL, "nested": [{"a": EVIL}]})
    (given,) = system.submit(b"hostile", group=EVIL, metadata=metadata)
    system.finish(given)

    for path in ("/gallery", f"/gallery?group={quote(EVIL)}", f"/gallery/{given}"):
        browser.get(system.gateway + path)
        assert "run" not in browser.title
        assert browser.find_elements(By.CSS_SELECTOR, "img[src=x], main script") == []
    assert EVIL in texts(browser, ".given dt")
    assert texts(browser, ".given dd").count(EVIL) == 2  # the group, and the metadata
    browser.get(f"{system.gateway}/gallery/{claimed}")
    assert texts(browser, "h1") == [EVIL[:80]]
    assert errors_of(browser) == []


def test_the_gallery_is_accessible(system: System, browser: Browser) -> None:
    failing(system, "for everybody", 2)
    show(browser, system, group="for everybody")
    for field in browser.find_elements(By.CSS_SELECTOR, "input, select"):
        label = f"label[for={field.get_attribute('id')}]"
        assert browser.find_elements(By.CSS_SELECTOR, label)
    assert browser.find_element(By.ID, "total").get_attribute("role") == "status"
    for width in (360, 1400):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    mark_this_page(browser)
    browser.find_element(By.CSS_SELECTOR, ".skip").send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    assert is_the_page_marked(browser)

    without_scripts(browser)
    browser.refresh()
    click(browser, ".card a")
    assert not browser.find_element(By.ID, "actions").is_displayed()
    with system.http() as http:
        policy = http.get("/gallery").headers["content-security-policy"]
        wrong = http.get("/gallery", params={"cursor": "not one of ours"})
    assert "unsafe" not in policy
    assert wrong.status_code == 422
    assert "Page not found" in wrong.text
