"""A radiologist reads nodules at a real browser: character, category, facts, draft, by keys."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pacs_bridge.review import RunningServer
from pacs_bridge.store import Store, Study
from tests.e2e.browser import (
    Browser,
    accept,
    card,
    complaints,
    count,
    edit,
    find,
    open_study,
    press,
    problem,
    reject,
    sign,
    wait_for,
)
from tests.network.review_samples import add, report_of

GUIDE = "#guides .guide"


@pytest.fixture
def study(store: Store, server: RunningServer, browser: Browser) -> Study:
    """Open in the browser."""
    made = add(store, 1, with_nodules=True)
    open_study(browser, server.url, made.study_uid)
    return made


def category(browser: Browser) -> str:
    return find(browser, f"{GUIDE} [data-role=category]").text


def test_the_essentials_show_and_the_rest_opens_by_key(study: Study, browser: Browser) -> None:
    title = find(browser, f"{card(1)} header").text
    assert "Solid nodule" in title and "right upper lobe" in title and "Grown +1.6 mm" in title
    assert "Lung-RADS 4B" in find(browser, f"{card(2)} header").text
    assert not find(browser, f"{card(1)} .rows").is_displayed()
    press(browser, "j", "d")
    assert find(browser, f"{card(1)} .rows").is_displayed()
    assert "176 – 259 mm³" in find(browser, f"{card(1)} [data-fact=volume]").text
    wait_for(
        browser,
        lambda b: b.execute_script(
            "return document.querySelector(arguments[0]).naturalWidth > 0", f"{card(1)} .why img"
        ),
    )
    press(browser, "d")
    assert not find(browser, f"{card(1)} .rows").is_displayed()
    assert count(browser, f"{card(2)} .why") == 0
    assert complaints(browser) == []


def test_a_verdict_changes_category_tags_and_draft(
    study: Study, store: Store, browser: Browser
) -> None:
    assert category(browser) == "4B"
    browser.execute_script("document.querySelector('#guides details').open = true")
    reject(browser, 2)
    wait_for(browser, lambda b: "Lung-RADS 4B" in find(b, f"{card(1)} header").text)
    assert category(browser) == "4B"
    assert browser.execute_script("return document.querySelector('#guides details').open")
    assert "Lung-RADS" not in find(browser, f"{card(2)} header").text
    press(browser, "t")
    wait_for(browser, lambda b: find(b, "#impression-saved").text == "Saved")
    kept = report_of(store, study).impression
    assert kept.startswith("1. Solid nodule in the right upper lobe") and "4B." in kept
    assert "Part-solid" not in kept
    assert complaints(browser) == []


def test_taking_the_draft_wipes_out_nothing(study: Study, store: Store, browser: Browser) -> None:
    field = find(browser, "#impression")
    field.send_keys("Mine.")
    find(browser, "[data-draft=impression]").click()
    find(browser, "[data-draft=impression]").click()  # a second time adds nothing
    wait_for(browser, lambda b: report_of(store, study).impression.startswith("Mine.\n\n1. Part"))
    text = field.get_attribute("value")
    assert text is not None and text.count("Part-solid nodule") == 1


def test_facts_apply_the_guidelines_again_and_lose_no_words(
    study: Study, store: Store, browser: Browser
) -> None:
    edit(browser, 1, "kept")
    find(browser, f"{card(1)} textarea").send_keys(" and this")  # not saved yet
    find(browser, "#clinical summary").click()
    for name in ("screening", "known_cancer", "immunosuppressed"):
        find(browser, f"select[name={name}] option[value=no]").click()
    find(browser, "select[name=high_risk] option[value=yes]").click()
    find(browser, ".facts-form button").click()
    wait_for(browser, lambda b: find(b, GUIDE).get_attribute("data-guideline") == "Fleischner 2017")
    report = report_of(store, study)
    assert report.clinical.high_risk is True and report.clinical.emphysema is None
    assert report.review_of(report.findings[0]).text == "kept and this"
    assert "high risk of lung cancer" in find(browser, "#clinical summary").text
    assert complaints(browser) == []


def test_an_own_category_with_its_reason_and_back(
    study: Study, store: Store, browser: Browser
) -> None:
    find(browser, "details.change summary").click()
    find(browser, "#override input[name=category]").send_keys("3")
    find(browser, "#override input[name=reason]").send_keys("Scar, stable outside.", Keys.ENTER)
    wait_for(browser, lambda b: category(b) == "3")
    own = find(browser, f"{GUIDE} .own").text
    assert "Computed: 4B" in own and "Scar, stable outside." in own
    find(browser, f"{GUIDE} .own button").click()
    wait_for(browser, lambda b: category(b) == "4B")
    assert report_of(store, study).overrides == ()
    for number in (1, 2, 3):
        accept(browser, number)
    sign(browser, "Zhang^San", "County Hospital")
    assert count(browser, "#override") == 0 and count(browser, ".draft-acts") == 0
    assert complaints(browser) == []


def test_facts_changed_in_another_tab_are_not_signed_unseen(
    study: Study, store: Store, browser: Browser
) -> None:
    facts = report_of(store, study).clinical.model_copy(update={"screening": False})
    store.save_clinical(study.study_uid, 1, facts, "li")
    for number in (1, 2, 3):
        accept(browser, number)
    browser.find_element(By.ID, "signer-name").send_keys("Zhang^San")
    browser.find_element(By.ID, "signer-organization").send_keys("County")
    find(browser, "#sign-button").click()
    find(browser, "#confirm[open] #confirm-sign").click()
    wait_for(browser, lambda b: "changed after this page was loaded" in problem(b))
    assert report_of(store, study).signature is None


@pytest.mark.parametrize("width", [1400, 800, 400])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_sticks_out_sideways(
    study: Study, server: RunningServer, browser: Browser, width: int, language: str
) -> None:
    browser.add_cookie({"name": "preread_language", "value": language})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        open_study(browser, server.url, study.study_uid)
        browser.execute_script(
            "for (const d of document.querySelectorAll('details')) d.open = true"
        )
        script = "return document.documentElement.scrollWidth - document.body.clientWidth"
        assert browser.execute_script(script) <= 0
        inside = (
            "return [...document.querySelectorAll('.work > *')].filter((part) =>"
            " part.getBoundingClientRect().right > document.body.clientWidth + 1).length"
        )
        assert browser.execute_script(inside) == 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
