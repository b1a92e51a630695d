"""A real browser that reads and signs as a radiologist would; for tests of whole journeys."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

Browser = webdriver.Chrome

WAIT_S = 30.0

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


def start_browser(
    width: int = 1400, height: int = 950, language: str = "en", *, dark: bool = True
) -> Browser:
    """Headless Chromium; ``quit()`` it when done. Skips the test where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromium-driver (apt-get install them)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (*ARGUMENTS, f"--window-size={width},{height}", f"--lang={language}"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.set_page_load_timeout(60)
    return browser


def wait_for(browser: Browser, what: Callable[[Browser], object], seconds: float = WAIT_S) -> None:
    """Until ``what`` is true of the page; a page that is just being left counts as not yet."""
    WebDriverWait(browser, seconds, 0.1, ignored_exceptions=(Exception,)).until(what)


def forget(browser: Browser) -> None:
    """Leave the page without being asked, and drop every cookie."""
    browser.get("about:blank")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    complaints(browser)


def find(browser: Browser, selector: str) -> WebElement:
    """The element of that CSS selector, waiting for it."""
    wait_for(browser, lambda b: b.find_element(By.CSS_SELECTOR, selector))
    return browser.find_element(By.CSS_SELECTOR, selector)


def count(browser: Browser, selector: str) -> int:
    """How many elements match now."""
    return len(browser.find_elements(By.CSS_SELECTOR, selector))


def open_study(browser: Browser, url: str, study_uid: str) -> None:
    """The study's page, drawn: ``url`` is the server's, without a slash at the end."""
    browser.get(f"{url}/studies/{study_uid}")
    find(browser, "#state")
    wait_for(browser, lambda b: b.execute_script("return document.readyState") == "complete")


def log_in(browser: Browser, url: str, user: str, password: str) -> None:
    """Log in and land on the worklist."""
    browser.get(f"{url}/login")
    find(browser, "input[name=user]").send_keys(user)
    find(browser, "input[name=password]").send_keys(password)
    find(browser, "#log-in").click()
    find(browser, "#list")


def card(number: int) -> str:
    """Selector of finding ``number``'s card."""
    return f".card[data-number='{number}']"


def decide(browser: Browser, number: int, verdict: str) -> None:
    """Press the button of ``verdict`` ("accepted", "rejected") and wait until it is kept."""
    button = find(browser, f"{card(number)} button[value={verdict}]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    find(browser, f"{card(number)}[data-verdict={verdict}]")


def accept(browser: Browser, number: int) -> None:
    """Accept a finding."""
    decide(browser, number, "accepted")


def reject(browser: Browser, number: int) -> None:
    """Reject a finding."""
    decide(browser, number, "rejected")


def edit(browser: Browser, number: int, text: str) -> None:
    """Write the text of a finding and wait until it is kept."""
    write(browser, f"{card(number)} textarea", f"{card(number)} [data-role=saved]", text)


def write_impression(browser: Browser, text: str) -> None:
    """Write the impression and wait until it is kept."""
    write(browser, "#impression", "#impression-saved", text)


def write(browser: Browser, field: str, note: str, text: str) -> None:
    """Type into a field that keeps itself, and wait for its note."""
    element = find(browser, field)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.clear()
    element.send_keys(text)
    saved = browser.execute_script(
        "return JSON.parse(document.getElementById('words').textContent).saved"
    )
    wait_for(browser, lambda b: b.find_element(By.CSS_SELECTOR, note).text == saved)


def press(browser: Browser, *keys: str) -> None:
    """Type keys where the focus is."""
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def press_sign(browser: Browser, name: str = "", organization: str = "") -> None:
    """Press "Sign report"; name and organization where nobody is logged in."""
    for field, text in (("#signer-name", name), ("#signer-organization", organization)):
        if count(browser, field) and text:
            element = find(browser, field)
            element.clear()
            element.send_keys(text)
    button = find(browser, "#sign-button")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def sign(browser: Browser, name: str = "", organization: str = "") -> None:
    """Sign, confirm, and wait until the page says that it is verified."""
    press_sign(browser, name, organization)
    confirm(browser)
    find(browser, "#verified")


def confirm(browser: Browser) -> None:
    """Say yes to "Sign and send the final report?"."""
    find(browser, "#confirm[open]")
    find(browser, "#confirm-sign").click()


def problem(browser: Browser) -> str:
    """What the page says went wrong; "" when nothing did."""
    place = browser.find_element(By.CSS_SELECTOR, "#problem")
    return place.text if place.is_displayed() else ""


def complaints(browser: Browser) -> list[str]:
    """What the browser itself complained of since the last call (scripts, policy, network)."""
    return [str(entry["message"]) for entry in browser.get_log("browser")]
