"""The engine's page and its JSON; organs and several models on a study's page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imaging.finding import Code, ImageReference, Structure
from imaging.language import Text
from imaging.notices import notice
from imaging.report import Model, Report
from models.engine.footprint import MemoryState
from models.engine.status import EngineStatus, ModelStatus, NetworkStatus, VersionStatus
from pacs_bridge.states import State
from pacs_bridge.store import Study
from pacs_bridge.workers.state import EnabledModel, EngineState, StudyState, WorkerState
from tests.network.review_samples import MODEL, add, plan
from tests.network.review_site import ZHANG, Site, make_site, page_of


def network(role: str, fill: float | None, degraded: dict[str, int]) -> NetworkStatus:
    return NetworkStatus(
        role=role, runtime="torch cuda:0 bf16", device="cuda:0", studies=1, waiting=11,
        most_waiting=32, patches=4211, batches=1211, fill=fill, refused=0, failed=0,
        degraded=degraded,
    )  # fmt: skip


def state() -> EngineState:
    """One GPU at work, one whose process died."""
    warm = VersionStatus(
        version="0.5.1", state="warm", studies=1,
        networks=(network("network", 0.93, {"device-memory-batch": 40}),),
    )  # fmt: skip
    engine = EngineStatus(
        models=(
            ModelStatus(name="pancreas", versions=(warm,), loads=2, evictions=1, failures=0),
            ModelStatus(
                name="spleen", versions=(VersionStatus(version="1", state="failed"),), loads=0,
                evictions=0, failures=3, failure="model.pt: SHA-256 is <1a2b>",
            ),
        ),
        process_bytes=2_413_000_000,
        host=MemoryState(total=64 * 10**9, available=40 * 10**9),
        devices={"cuda:0": MemoryState(total=85 * 10**9, available=60 * 10**9)},
        budget_bytes=16 * 10**9, reserved_bytes=3_400_000_000, studies_waiting=0,
    )  # fmt: skip
    studies = (StudyState(study_uid="1.2.3", step="detect", seconds=4.2, urgent=True),)
    return EngineState(
        models=(
            EnabledModel(
                name="pancreas", version="0.5.1", title=Text(en="Pancreas", zh="胰腺"), reports=True
            ),
            EnabledModel(name="spleen", version="1", reports=False, problem="broken <b>"),
        ),
        workers=(
            WorkerState(
                name="gpu 0", device="cuda:0", hardware="NVIDIA H100", state="ready", pid=4711,
                seconds=8731, studies_at_once=2, studies=studies, done=412, engine=engine,
            ),
            WorkerState(
                name="gpu 1", device="", state="restarting", restarts=2,
                problem="its process was ended by SIGKILL (out of memory?)",
            ),
        ),
        waiting=5,
        urgent_waiting=1,
    )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = make_site(tmp_path / "site")
    made.studio.engine_state = state()
    return made


def test_the_page_lists_workers_models_batches_and_memory(site: Site) -> None:
    for language, words in (
        ("en", ("Inference engine", "Worker gpu 0", "NVIDIA H100", "2 h 25 min", "93 %",
                "smaller batches 40", "2.4 GB", "25.0 GB of 85.0 GB", "shadow", "Restarting",
                "out of memory?", "urgent", "SHA-256 is &lt;1a2b&gt;", "broken &lt;b&gt;")),
        ("zh", ("推理引擎状态", "工作进程 gpu 0", "2 小时 25 分钟", "缩小批量 40", "影子", "重启中",
                "紧急", "胰腺")),
    ):  # fmt: skip
        page = site.browser(**{"Accept-Language": language}).get("/engine")
        assert page.status_code == 200
        for word in words:
            assert word in page.text, word
    part = site.client.get("/engine/state").text
    assert "<html" not in part
    assert 'data-worker="gpu 1"' in part
    assert 'href="/engine"' in site.client.get("/").text


def test_the_same_as_json(site: Site) -> None:
    assert EngineState.model_validate(site.client.get("/api/engine").json()) == state()
    schema = site.client.get("/api/openapi.json").json()
    assert "/api/engine" in schema["paths"]


def test_without_an_engine_the_page_says_so(site: Site) -> None:
    site.studio.engine_state = EngineState()
    assert "No engine runs here." in site.client.get("/engine").text


def test_only_people_we_know_see_it(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", readers=[ZHANG])
    site.studio.engine_state = state()
    for path in ("/engine", "/engine/state"):
        answer = site.client.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")
    assert site.client.get("/api/engine").status_code == 401
    assert 'href="/engine"' not in site.client.get("/login").text


SPLEEN = Code(value="78961009", scheme="SCT", meaning=Text(en="Spleen", zh="脾"))


def with_spleen(site: Site, findings: int = 1) -> tuple[Study, Report]:
    study = add(site.store, 31, findings=findings)
    report = site.store.reading(study.study_uid).report
    assert report is not None
    image = ImageReference(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2")
    spleen = Structure(
        tracking_uid=f"{study.study_uid}.8.1", tracking_id="Spleen", label=SPLEEN, site=SPLEEN,
        score=0.97, centre_lps_mm=(0.0, 0.0, 0.0), volume_mm3=182_400.0, mean_hu=55.2,
        slices=("1.2",), key_image=image, key_slice=80, segment_number=findings + 1,
        outlines=(), model="spleens",
    )  # fmt: skip
    other = Model(name="spleens", version="7", title=Text(en="Spleens", zh="脾脏"), sha256="1" * 64)
    report = report.model_copy(update={"structures": (spleen,), "models": (MODEL, other)})
    site.store.set_report(study.study_uid, 1, report)
    return study, report


def test_organs_are_listed_and_block_no_signature(site: Site) -> None:
    study, report = with_spleen(site)
    page = site.client.get(page_of(study)).text
    section = page.split('id="structures"')[1].split("</section>")[0]
    assert "Spleen" in section and "182.4 ml" in section and "55 HU" in section
    assert "<button" not in section
    assert "0 of 1 decided" in page
    assert "Lung nodules, reference 1.0, Spleens 7" in page
    spleen = report.structures[0]
    answer = site.put(
        f"/api/studies/{study.study_uid}/revisions/1/findings/{spleen.tracking_uid}",
        verdict="rejected",
    )
    assert answer.status_code == 404
    site.decide(study)
    signed = site.form(f"{page_of(study)}/report", do="sign", name="Li^Si", organization="X")
    assert signed.status_code == 303
    assert site.store.reading(study.study_uid).state is State.FINAL


def test_organs_alone_are_nothing_found(site: Site) -> None:
    study, _ = with_spleen(site, findings=0)
    reading = site.store.reading(study.study_uid)
    assert reading.positive == 0
    page = site.client.get(page_of(study)).text
    assert "The model marked nothing" in page and "Spleen" in page


def test_a_density_that_is_no_hounsfield_unit_is_not_shown(site: Site) -> None:
    study = add(site.store, 32, findings=1)
    report = site.store.reading(study.study_uid).report
    assert report is not None
    (found,) = report.findings
    signal = found.model_copy(update={"mean_hu": None})
    site.store.set_report(study.study_uid, 1, report.model_copy(update={"findings": (signal,)}))
    page = site.client.get(page_of(study))
    assert page.status_code == 200
    assert " HU<" not in page.text


def test_each_model_s_choice_is_shown_also_as_it_was_kept_before(site: Site) -> None:
    study = add(site.store, 33)
    before = json.loads(plan(study.study_uid))
    not_run = notice("not-run", model="spleens", own="5 abdomen", series="3 chest", first="lungs")
    other = {**before, "model": "spleens", "chosen": None, "notices": [not_run.model_dump()]}
    other["verdicts"] = [{**v, "accepted": False} for v in before["verdicts"]]
    for kept, models in ((before, 1), ({"plans": [before, other]}, 2)):
        site.store.set_plan(study.study_uid, 1, json.dumps(kept))
        page = site.client.get(page_of(study)).text
        section = page.split('id="plan-title"')[1].split("</section>")[0]
        assert section.count('<ul class="plan">') == models
        assert section.count('class="badge delivered"') == 1
        assert ("model spleens did not read this study" in section) == (models == 2)
