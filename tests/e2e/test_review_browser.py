"""A radiologist at a real browser: keyboard, autosave, two tabs, signature."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from imaging.report import FindingReview, Verdict
from pacs_bridge.review import RunningServer, create_app, serve_in_thread
from pacs_bridge.settings import Settings
from pacs_bridge.states import State
from pacs_bridge.store import Store
from tests.e2e.browser import (
    Browser,
    accept,
    card,
    complaints,
    confirm,
    count,
    edit,
    find,
    forget,
    log_in,
    open_study,
    press,
    press_sign,
    problem,
    reject,
    sign,
    wait_for,
    write_impression,
)
from tests.network.review_samples import SampleStudio, add, fill, report, supersede
from tests.network.review_site import ZHANG


def label(browser: Browser) -> str:
    return find(browser, "#slice-label").text


def test_accept_reject_edit_and_sign(server: RunningServer, store: Store, browser: Browser) -> None:
    study = add(store, 1)
    open_study(browser, server.url, study.study_uid)
    accept(browser, 1)
    reject(browser, 2)
    accept(browser, 3)
    edit(browser, 1, "右上叶实性结节, spiculated")
    write_impression(browser, "Two nodules, follow up.")
    assert find(browser, "#decided").text == "3 of 3 decided"
    sign(browser, "Zhang^San", "County Hospital")
    assert "Verified by Zhang San, County Hospital" in find(browser, "#verified").text
    assert find(browser, "#state").text == State.FINAL.label.en
    assert count(browser, "textarea") == 0 and count(browser, "#sign-button") == 0
    kept = store.reading(study.study_uid).report
    assert kept is not None and kept.signature is not None
    verdicts = [kept.review_of(f).verdict for f in kept.findings]
    assert verdicts == ["accepted", "rejected", "accepted"]
    assert kept.review_of(kept.findings[0]).text == "右上叶实性结节, spiculated"
    assert kept.impression == "Two nodules, follow up."
    assert complaints(browser) == []


def test_keyboard_alone(server: RunningServer, store: Store, browser: Browser) -> None:
    study = add(store, 1)
    open_study(browser, server.url, study.study_uid)
    press(browser, "j")
    assert label(browser) == "Slice 39 of 120"
    press(browser, "a")
    find(browser, f"{card(1)}[data-verdict=accepted]")
    press(browser, "j")
    assert label(browser) == "Slice 62 of 120"
    press(browser, "r")
    find(browser, f"{card(2)}[data-verdict=rejected]")
    press(browser, "u")
    find(browser, f"{card(2)}[data-verdict=pending]")
    press(browser, "a")
    find(browser, f"{card(2)}[data-verdict=accepted]")
    press(browser, "j", "r")
    find(browser, f"{card(3)}[data-verdict=rejected]")
    press(browser, "k", "e", "ajr", Keys.ESCAPE)
    wait_for(
        browser,
        lambda b: b.find_element(By.CSS_SELECTOR, f"{card(2)} [data-role=saved]").text == "Saved",
    )
    press(browser, "s", "Zhang^San", Keys.TAB, "County", Keys.TAB, Keys.ENTER)
    find(browser, "#confirm[open]")
    assert find(browser, "#confirm-summary").text == "2 accepted, 1 rejected."
    assert find(browser, "#confirm-signer").text == "Signed as Zhang^San, County"
    assert find(browser, "#confirm-empty").is_displayed()
    press(browser, Keys.ENTER)
    find(browser, "#verified")
    kept = store.reading(study.study_uid).report
    assert kept is not None and kept.review_of(kept.findings[1]).text == "ajr"
    assert kept.signature is not None and kept.signature.organization == "County"


def test_enter_in_the_name_does_not_sign(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    study = add(store, 1, findings=0)
    open_study(browser, server.url, study.study_uid)
    find(browser, "#signer-name").send_keys("Zhang^San", Keys.ENTER)
    write_impression(browser, "after")  # has been to the server and back
    assert count(browser, "#confirm[open]") == 0
    assert store.reading(study.study_uid).state is State.AWAITING_SIGNATURE


def test_signing_with_an_undecided_finding_is_refused(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    study = add(store, 1)
    open_study(browser, server.url, study.study_uid)
    accept(browser, 1)
    press_sign(browser, "Zhang^San", "County")
    wait_for(browser, lambda b: "finding 2, 3 has no verdict" in problem(browser))
    assert count(browser, "#confirm[open]") == 0
    assert store.reading(study.study_uid).state is State.AWAITING_SIGNATURE


def test_the_first_key_never_decides_an_unseen_finding(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    study = add(store, 1)
    open_study(browser, server.url, study.study_uid)
    press(browser, "a")
    find(browser, f"{card(1)}.current")
    assert count(browser, ".card[data-verdict=accepted]") == 0
    press(browser, "a")
    find(browser, f"{card(1)}[data-verdict=accepted]")


def test_slices_by_keys_wheel_and_marks(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    open_study(browser, server.url, add(store, 1).study_uid)
    assert label(browser) == "Slice 39 of 120"
    press(browser, Keys.ARROW_DOWN)
    assert label(browser) == "Slice 40 of 120"
    press(browser, Keys.PAGE_DOWN, Keys.ARROW_UP)
    assert label(browser) == "Slice 49 of 120"
    press(browser, Keys.END, Keys.ARROW_DOWN)
    assert label(browser) == "Slice 120 of 120"
    find(browser, ".mark[title='Finding 2']").click()
    assert label(browser) == "Slice 62 of 120"
    assert count(browser, f"{card(2)}.current") == 1
    browser.execute_script(
        "document.getElementById('picture').dispatchEvent("
        "new WheelEvent('wheel', {deltaY: 120, cancelable: true}))"
    )
    assert label(browser) == "Slice 65 of 120"
    wait_for(browser, lambda b: find(b, "#slice").get_attribute("src").startswith("blob:"))
    before = find(browser, "#slice").get_attribute("src")
    press(browser, "o")
    wait_for(browser, lambda b: find(b, "#slice").get_attribute("src") != before)
    without = find(browser, "#slice").get_attribute("src")
    reject(browser, 2)  # the server may draw other outlines now
    wait_for(browser, lambda b: find(b, "#slice").get_attribute("src") != without)
    assert not find(browser, "#slice-missing").is_displayed()
    assert complaints(browser) == []


def test_what_another_tab_changed_is_not_overwritten(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    study = add(store, 1)
    open_study(browser, server.url, study.study_uid)
    theirs = FindingReview(
        tracking_uid=f"{study.study_uid}.9.1", verdict=Verdict.REJECTED, text="theirs"
    )
    store.save_review(study.study_uid, 1, theirs, "li")
    field = find(browser, f"{card(1)} textarea")
    field.send_keys("mine", Keys.TAB)
    wait_for(browser, lambda b: "somebody else" in problem(browser))
    assert field.get_attribute("value") == "mine"
    kept = store.reading(study.study_uid).report
    assert kept is not None and kept.review_of(kept.findings[0]) == theirs


def test_a_verdict_of_another_tab_is_not_signed_unseen(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    study = add(store, 1, findings=2)
    open_study(browser, server.url, study.study_uid)
    accept(browser, 1)
    accept(browser, 2)
    uid = f"{study.study_uid}.9.1"
    store.save_review(
        study.study_uid, 1, FindingReview(tracking_uid=uid, verdict=Verdict.REJECTED), "li"
    )
    write_impression(browser, "nodules")  # an answer of the server that knows of the change
    press_sign(browser, "Zhang^San", "County")
    confirm(browser)
    wait_for(browser, lambda b: "changed after this page was loaded" in problem(browser))
    assert store.reading(study.study_uid).state is State.AWAITING_SIGNATURE
    find(browser, f"{card(1)}[data-verdict=rejected]")
    sign(browser)  # now it was seen; name and organization are still in their fields
    kept = store.reading(study.study_uid).report
    assert kept is not None and len(kept.standing_findings) == 1 and kept.impression == "nodules"


def test_signed_elsewhere_meanwhile_says_so_and_keeps_the_words(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    study = add(store, 1)
    open_study(browser, server.url, study.study_uid)
    supersede(store, study)
    field = find(browser, "#impression")
    field.send_keys("long thoughts", Keys.TAB)
    wait_for(browser, lambda b: "this study is now" in problem(browser))
    assert field.get_attribute("value") == "long thoughts"
    wait_for(browser, lambda b: find(b, "#changed").is_displayed())


def test_a_page_of_a_study_at_work_follows_it(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    study = add(store, 1, state=State.ANALYSING)
    open_study(browser, server.url, study.study_uid)
    assert count(browser, ".card") == 0
    store.set_report(study.study_uid, 1, report(study, 2))
    store.set_state(study.study_uid, 1, State.AWAITING_SIGNATURE)
    wait_for(browser, lambda b: count(b, ".card") == 2)


def test_the_worklist_refreshes_without_losing_filter_focus_or_place(
    server: RunningServer, store: Store, browser: Browser
) -> None:
    for number in range(100, 140):
        add(store, number, name=f"PATIENT^{number}", findings=0)
    browser.get(f"{server.url}/?state=awaiting-signature")
    last = find(browser, "tr[data-study$='.100'] a")
    browser.execute_script("arguments[0].focus(); window.scrollTo(0, 700)", last)
    add(store, 7, name="NEW^ONE")
    add(store, 8, name="OTHER^STATE", state=State.FAILED)
    wait_for(browser, lambda b: count(b, "tr[data-study$='.7']") == 1)
    assert count(browser, "tr[data-study$='.8']") == 0
    assert browser.execute_script("return window.scrollY") == 700
    assert browser.switch_to.active_element.text == "PATIENT 100"
    assert browser.current_url.endswith("state=awaiting-signature")


def test_the_worklist_by_keyboard(server: RunningServer, store: Store, browser: Browser) -> None:
    studies = fill(store)
    browser.get(f"{server.url}/")
    find(browser, "table")
    press(browser, "/")
    press(browser, "zhang")
    wait_for(browser, lambda b: count(b, "tbody tr") == 1)
    assert browser.current_url.endswith("?q=zhang")
    press(browser, Keys.ESCAPE, "j", Keys.ENTER)
    wait_for(browser, lambda b: studies["open"].study_uid in b.current_url)
    assert complaints(browser) == []


def test_help_and_language(server: RunningServer, store: Store, browser: Browser) -> None:
    open_study(browser, server.url, add(store, 1).study_uid)
    press(browser, "?")
    assert "next finding" in find(browser, "#help[open]").text
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda b: count(b, "#help[open]") == 0)
    find(browser, "button[name=language]").click()
    wait_for(browser, lambda b: find(b, "html").get_attribute("lang") == "zh-CN")
    assert "未判定" in find(browser, card(1)).text
    accept(browser, 1)
    assert "已接受" in find(browser, card(1)).text


@pytest.mark.parametrize("width", [1400, 800, 400])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_sticks_out_sideways(
    server: RunningServer, store: Store, browser: Browser, width: int, language: str
) -> None:
    studies = fill(store)
    browser.get(f"{server.url}/healthz")
    browser.add_cookie({"name": "preread_language", "value": language})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for path in ("/", "/engine", *(f"/studies/{s.study_uid}" for s in studies.values())):
            browser.get(server.url + path)
            find(browser, "main")
            script = "return document.documentElement.scrollWidth - document.body.clientWidth"
            assert browser.execute_script(script) <= 0, path
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_log_in_that_ends_loses_no_words(tmp_path: Path, store: Store, browser: Browser) -> None:
    settings = Settings.model_validate({"storage": {"folder": str(tmp_path)}, "readers": [ZHANG]})
    app = create_app(settings, store, SampleStudio(store, tmp_path))
    running = serve_in_thread(app, "127.0.0.1", 0)
    try:
        study = add(store, 1)
        log_in(browser, running.url, "zhang", "right")
        open_study(browser, running.url, study.study_uid)
        browser.delete_cookie("preread_session")
        field = find(browser, "#impression")
        field.send_keys("words", Keys.TAB)
        wait_for(browser, lambda b: "log-in has ended" in problem(browser))
        assert field.get_attribute("value") == "words"
        log_in_meanwhile(browser, running.url)
        field.send_keys(" kept", Keys.TAB)
        wait_for(browser, lambda b: find(b, "#impression-saved").text == "Saved")
        kept = store.reading(study.study_uid).report
        assert kept is not None and kept.impression == "words kept"
    finally:
        forget(browser)
        running.stop()


def log_in_meanwhile(browser: Browser, url: str) -> None:
    """In another tab."""
    here = browser.current_window_handle
    browser.switch_to.new_window("tab")
    log_in(browser, url, "zhang", "right")
    browser.close()
    browser.switch_to.window(here)
