"""Fixtures of whole journeys: `preread analyse`, and the review page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.phantom import make_phantom
from imaging.phantom_series import write_series
from pacs_bridge.cli import main
from pacs_bridge.review import RunningServer, create_app, serve_in_thread
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store, open_store
from tests.e2e.analysed import Analyse, Run
from tests.e2e.browser import Browser, forget, start_browser
from tests.e2e.server import bright_model
from tests.network.review_samples import SampleStudio
from tests.unit.models.study.test_study import write_chest


@pytest.fixture
def analyse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Analyse:
    """Runs the command; whatever happens, no traceback may show."""

    def run(path: Path, *options: str) -> Run:
        folder = tmp_path / "out"
        status = main(["analyse", str(path), "--out", str(folder), "--threads", "2", *options])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Run(status, captured.out, captured.err, folder)

    return run


@pytest.fixture(scope="session")
def chest(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A simulated chest CT, small but whole: 56 slices of 192 x 192, 2.5 mm apart."""
    folder = tmp_path_factory.mktemp("chest")
    return write_series(make_phantom(3, slices=56, pixels=192, height_mm=140.0), folder)


@pytest.fixture(scope="session")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A drawn chest CT of 44 slices of 60 x 72, 4 mm apart."""
    return write_chest(tmp_path_factory.mktemp("coarse"))


@pytest.fixture(scope="session")
def bright(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Settings whose one model reads a chest in a second."""
    folder = tmp_path_factory.mktemp("bright")
    settings = folder / "preread.toml"
    settings.write_text(
        f'[models]\nfolder = "{bright_model(folder)}"\nenabled = ["bright"]\ndevice = "cpu"\n',
        encoding="utf-8",
    )
    return str(settings)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a file; the test is skipped where there is none."""
    started = start_browser()
    yield started
    started.quit()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Of the page below."""
    return open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")


@pytest.fixture
def server(tmp_path: Path, store: Store, browser: Browser) -> Iterator[RunningServer]:
    """The page over sample studies, nobody logged in."""
    settings = Settings.model_validate({"storage": {"folder": str(tmp_path)}})
    app = create_app(settings, store, SampleStudio(store, tmp_path))
    running = serve_in_thread(app, "127.0.0.1", 0)
    yield running
    forget(browser)
    running.stop()
