"""OHIF, as others install it, opens a study at our address: images, our SEG, our SR."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

from pacs_bridge.dicomweb.server import PATH
from tests.e2e.browser import Browser, complaints, start_browser, wait_for
from tests.e2e.ohif import running_ohif
from tests.network.web_site import Held, WebSite, put_study, running_web

pytestmark = pytest.mark.slow
WAIT_S = 120.0
"""The viewer is 40 MB of scripts, drawn without a GPU."""


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, WebSite, Held]]:
    address: list[str] = []
    with running_ohif(address) as origin:
        folder = tmp_path_factory.mktemp("ohif")
        with running_web(folder, dicomweb={"enabled": True, "viewers": [origin]}) as site:
            address.append(site.url + PATH)
            yield origin, site, put_study(site, shape=(24, 96, 80))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = start_browser()
    yield browser
    browser.quit()


def test_ohif_lists_and_opens_a_study(
    viewer: tuple[str, WebSite, Held], browser: Browser, tmp_path: Path
) -> None:
    origin, site, held = viewer
    browser.get(origin)
    wait_for(browser, lambda b: "CT\\SEG\\SR" in b.page_source, WAIT_S)
    assert "Zhang, San" in browser.page_source

    browser.get(f"{origin}/viewer?StudyInstanceUIDs={held.study_uid}")
    wait_for(browser, lambda b: _drawn(b).std() > 5, WAIT_S)
    _skip_tour(browser)
    shown = _drawn(browser)
    # values around -800 HU in the image's own window (-600, 1500) are dark grey
    assert 50 < float(np.median(shown[shown > 20])) < 130

    _open(browser, "SEG")
    wait_for(browser, lambda b: "open this Segmentation" in b.page_source, WAIT_S)
    wait_for(browser, lambda b: _coloured(b) > 100, WAIT_S)
    _open(browser, "SR")
    wait_for(browser, lambda b: _coloured(b) > 20, WAIT_S)
    browser.save_screenshot(str(tmp_path / "ohif.png"))

    refused = [line for line in complaints(browser) if PATH in line]
    assert refused == []
    seen = {(event.what, event.study_uid) for event in site.happened()}
    assert ("web-retrieved", held.study_uid) in seen


def _skip_tour(browser: Browser) -> None:
    """The first visitor is shown around."""
    for button in browser.find_elements(By.XPATH, "//*[contains(text(),'Skip all')]"):
        button.click()


def _open(browser: Browser, modality: str) -> None:
    entry = browser.find_element(By.XPATH, f"//*[text()='{modality}']")
    ActionChains(browser).double_click(entry).perform()


def _picture(browser: Browser) -> np.ndarray:
    canvas = browser.find_element(By.CSS_SELECTOR, ".viewport-element, canvas")
    picture = Image.open(io.BytesIO(canvas.screenshot_as_png)).convert("RGB")
    return np.asarray(picture).astype(int)


def _drawn(browser: Browser) -> np.ndarray:
    """The viewport in grey, its middle."""
    grey = _picture(browser).mean(axis=2)
    rows, columns = grey.shape
    return np.asarray(grey[rows // 4 : 3 * rows // 4, columns // 4 : 3 * columns // 4])


def _coloured(browser: Browser) -> int:
    """Pixels of the viewport that are not grey: overlays."""
    picture = _picture(browser)
    return int(((picture.max(axis=2) - picture.min(axis=2)) > 60).sum())
