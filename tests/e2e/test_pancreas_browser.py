"""A radiologist reads a pancreas at a real browser: card, places, the form vessel by vessel."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from imaging.pancreatic import Vessel
from imaging.report import Stage
from pacs_bridge.review import RunningServer
from pacs_bridge.store import Store, Study
from tests.e2e.browser import (
    Browser,
    accept,
    complaints,
    count,
    find,
    open_study,
    press_sign,
    problem,
    sign,
    wait_for,
    write_impression,
)
from tests.network.review_samples import add, report_of

NCCN = ".guide[data-guideline='NCCN resectability'] [data-role=category]"


@pytest.fixture
def study(store: Store, server: RunningServer, browser: Browser) -> Study:
    """Open in the browser."""
    made = add(store, 1, with_pancreas=True)
    open_study(browser, server.url, made.study_uid)
    return made


def choose(browser: Browser, name: str, value: str) -> None:
    field = find(browser, f"#pancreas-form [name='{name}']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
    Select(field).select_by_value(value)


def test_the_form_recomputes_the_category_and_the_report_is_signed(
    study: Study, store: Store, browser: Browser
) -> None:
    assert "not assigned" in find(browser, NCCN).text
    find(browser, "#pancreas-reading > summary").click()
    answers = {"liver_lesions": "none", "aorta_or_ivc_contact": "none",
               "variant_artery_contact": "none"}  # fmt: skip
    answers |= {f"{vessel.value}.degrees": "none" for vessel in Vessel}
    for vein in (Vessel.SMV, Vessel.PV):
        answers |= {f"{vein.value}.{item}": "no" for item in ("occluded", "thrombus")}
        answers |= {f"{vein.value}.contour_irregular": "no", f"{vein.value}.reconstructible": "yes"}
    for name in ("distant_nodes", "peritoneal", "ascites", "other_metastases"):
        answers[name] = "no"
    for name, value in answers.items():
        choose(browser, name, value)
    wait_for(browser, lambda b: b.find_element(By.CSS_SELECTOR, NCCN).text == "resectable")
    choose(browser, "superior-mesenteric-artery.degrees", "over-180")
    wait_for(browser, lambda b: b.find_element(By.CSS_SELECTOR, NCCN).text == "locally advanced")
    assert report_of(store, study).pancreas_reading.of(Vessel.SMA).degrees == "over-180"
    accept(browser, 1)
    write_impression(browser, "Locally advanced.")
    sign(browser, "Chen^Li", "County Hospital")
    assert problem(browser) == ""
    assert report_of(store, study).stage is Stage.FINAL
    assert complaints(browser) == []


def test_an_answer_that_could_not_be_kept_holds_the_signature_back(
    study: Study, store: Store, browser: Browser
) -> None:
    find(browser, "#pancreas-reading > summary").click()
    accept(browser, 1)
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/pancreas"]})
    choose(browser, "ascites", "yes")
    wait_for(browser, lambda b: "Not saved" in find(b, "#pancreas-saved").text)
    browser.execute_script("document.getElementById('pancreas-saved').textContent = ''")
    press_sign(browser, "Chen^Li", "County Hospital")
    # It is tried once more, and refused again.
    wait_for(browser, lambda b: "Not saved" in find(b, "#pancreas-saved").text)
    assert count(browser, "#confirm[open]") == 0 and problem(browser) != ""
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    complaints(browser)
    sign(browser, "Chen^Li", "County Hospital")
    report = report_of(store, study)
    assert report.pancreas_reading.ascites is True and report.stage is Stage.FINAL
    assert complaints(browser) == []


def test_a_research_place_leads_to_its_slice_and_is_no_finding(
    study: Study, browser: Browser
) -> None:
    assert "where to look, no finding" in find(browser, "#research h3").text
    button = find(browser, "[data-place='1']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    wait_for(browser, lambda b: "Slice 72 of" in find(b, "#slice-label").text)
    assert count(browser, ".card") == 1 and count(browser, ".mark") == 1
    wide = browser.execute_script(
        "return [...document.querySelectorAll('.gland, #pancreas-reading')]"
        ".every((part) => part.scrollWidth <= part.clientWidth + 1)"
    )
    assert wide
    assert complaints(browser) == []
