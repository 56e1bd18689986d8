"""The page in a real browser: pointing at a pair, clicking it, narrow and wide screens, and following a run."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atrcnas.report import write_report
from atrcnas.report.serving import ReportServer
from tests.unit.report.made_up import make_run

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
TASKS = ("semseg", "human_parts", "depth", "normals", "edge", "sal")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("selenium", reason="needs selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report([make_run(folder / "a-run", TASKS), make_run(folder / "another", TASKS[:2])], folder / "r.html")


def see(browser: Any, url: str, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get(url)


def element(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def point_at(browser: Any, target: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", target)
    ActionChains(browser).pause(0.2).move_to_element(target).perform()


@pytest.mark.parametrize("width", [1280, 400])
def test_pointing_at_a_pair_shows_its_figures_inside_of_the_window(browser: Any, page: Path, width: int) -> None:
    see(browser, page.as_uri(), width)
    for pair in ("semseg<-depth", "sal<-sal"):
        cell, tip = element(browser, f'[aria-label^="{pair}: "]'), element(browser, "#tip")
        assert not tip.is_displayed()
        point_at(browser, cell)
        assert tip.is_displayed()
        for part in (pair, "probability", "4.56 M multiply-adds", "committed"):
            assert part in tip.text
        box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", tip)
        assert box["left"] >= 0 and box["top"] >= 0 and box["right"] <= width and box["bottom"] <= 900
        point_at(browser, element(browser, "h1"))


def test_a_click_shows_the_pair_s_curve_and_leaves_the_other_run_alone(browser: Any, page: Path) -> None:
    see(browser, page.as_uri(), 1280)
    for pair in ("depth<-edge", "edge<-depth"):
        element(browser, f'#run0 [aria-label^="{pair}: "]').click()
        shown = [one for one in browser.find_elements("css selector", ".pair") if one.is_displayed()]
        assert len(shown) == 1 and f"{pair}: probability of each kind" in shown[0].text
        assert len(shown[0].find_elements("css selector", ".chart > svg .line")) >= 5
        assert element(browser, '[aria-expanded="true"]').get_attribute("aria-label").startswith(pair)
    element(browser, '#run1 [aria-label^="semseg<-semseg: "]').click()
    assert len([one for one in browser.find_elements("css selector", ".pair") if one.is_displayed()]) == 2
    assert browser.get_log("browser") == [], "nothing was refused or failed"


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window_and_no_label_is_cut(browser: Any, page: Path, width: int) -> None:
    see(browser, page.as_uri(), width)
    element(browser, ".cell").click()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    cut = browser.execute_script(
        """return [...document.querySelectorAll('.chart > svg')].filter(svg => svg.checkVisibility()).flatMap(svg => {
            const room = svg.viewBox.baseVal;
            return [...svg.querySelectorAll('text')].filter(text => {
                const box = text.getBBox();
                return box.x < 0 || box.y < 0 || box.x + box.width > room.width || box.y + box.height > room.height;
            }).map(text => text.textContent);
        })"""
    )
    assert cut == []
    tall = "return Math.max(...[...document.querySelectorAll('.heat th')].map(label => label.offsetHeight))"
    assert browser.execute_script(tall) < 64, "names are not broken into letters"
    table = "const table = document.querySelector('.wide:has(.heat)'); return table.scrollWidth - table.clientWidth"
    assert browser.execute_script(table) <= 0, "six tasks fit"
    small = browser.execute_script(
        "return Math.min(...[...document.querySelectorAll('.chart > svg')].filter(svg => svg.checkVisibility())"
        ".map(svg => 11 * svg.clientWidth / svg.viewBox.baseVal.width))"
    )
    assert small >= 9, "pixels of the smallest letters in a chart"


def test_a_watched_page_renews_itself_and_keeps_the_chosen_pair(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    run = make_run(tmp_path / "run")
    with ReportServer([run]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        see(browser, server.url, 1280)
        element(browser, '[aria-label^="depth<-edge: "]').click()
        (run / "results.json").unlink()
        WebDriverWait(browser, 30).until(lambda _: "has not been retrained" in browser.page_source)
        assert element(browser, '[aria-expanded="true"]').get_attribute("aria-label").startswith("depth<-edge")
        server.shutdown()
