# Preread: one command each. `make` alone says what there is.
#
# Each purpose has a virtual environment of its own, so that no command changes another's.
# A stamp named after the lock and pyproject.toml makes a second run start at once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-builtin-rules

DEMO_VENV ?= .venv-demo
VENV ?= .venv-test
TRITON_VENV ?= .venv-triton
# a process starts twice as fast from kept bytecode, and the tests start hundreds
unexport PYTHONDONTWRITEBYTECODE
LOCK := requirements.lock
comma := ,
MARK := $(shell cat $(LOCK) pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)
TEST_READY := $(VENV)/.ready-$(MARK)
TRITON_READY := $(TRITON_VENV)/.ready-$(shell sha256sum .ci/triton.txt | cut -c1-16)

# a study for the demo; empty: a simulated chest
STUDY ?=
# more flags for the demo, e.g. DEMO='--sample lidc --no-keep-running'
DEMO ?=
# a public sample is fetched by a package that nothing else needs
DEMO_EXTRAS := cpu$(if $(findstring --sample,$(DEMO)),$(comma)samples)
DEMO_READY := $(DEMO_VENV)/.ready-$(DEMO_EXTRAS)-$(MARK)
# two processes, a file's tests together because they share slow fixtures; files in the folders'
# order: the longest ones come first, and none is left alone at the end
PYTEST ?= -n 2 --dist loadfile --no-loadscope-reorder
# version of the viewer that opens a study at our DICOMweb server
OHIF ?= 3.12.10
# more flags for pip, e.g. PIP='--find-links wheels' for a machine without internet
PIP ?=

TEST_PACKAGES := openssl orthanc orthanc-dicomweb dcmtk dicom3tools postgresql \
                 chromium chromium-driver fonts-noto-cjk fonts-wqy-microhei poppler-utils poppler-data

.PHONY: help demo test test-all ohif lint format bench lock clean

help:  ## this list
	@echo "Preread, preliminary reads of CT and MRI. Commands:"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) |
	    sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'
	@echo
	@echo "  make demo STUDY=folder    your own DICOM instead of the simulated chest"
	@echo "  make test PYTEST='-k sr'  some tests only"

demo: $(DEMO_READY)  ## install what a hospital would, run one chest CT through everything
	@$(DEMO_VENV)/bin/preread demo $(if $(STUDY),--study "$(STUDY)") $(DEMO)

test: lint $(TRITON_READY)  ## format, style, types, layers, and every test but the slow ones
	@TRITON_VENV=$(TRITON_VENV) $(VENV)/bin/python -m pytest -m "not slow" $(PYTEST)

test-all: lint $(TRITON_READY) ohif  ## the same with the slow tests
	@TRITON_VENV=$(TRITON_VENV) $(VENV)/bin/python -m pytest $(PYTEST)

ohif:  ## fetch the viewer that the slow tests open a study with (npm package @ohif/app)
	@[ ! -f .ohif/package/dist/index.html ] || exit 0
	command -v npm >/dev/null || { echo "no npm; the viewer's test will be left out"; exit 0; }
	mkdir -p .ohif
	npm pack --silent --pack-destination .ohif @ohif/app@$(OHIF) >/dev/null
	tar -xzf .ohif/ohif-app-$(OHIF).tgz -C .ohif
	rm .ohif/ohif-app-$(OHIF).tgz

lint: $(TEST_READY)  ## format, style, types and layers only
	@$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

format: $(TEST_READY)  ## put the code into its format
	@$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(TEST_READY)  ## every benchmark, one after another; what failed is told at the end
	@failed=()
	run() {
	    echo "== benchmarks.$$*"
	    $(VENV)/bin/python -m benchmarks.$$* || failed+=("$$1")
	}
	for file in benchmarks/*.py; do
	    # some only hold what others share
	    if grep -q __main__ "$$file"; then run "$$(basename "$$file" .py)"; fi
	done
	run accuracy --organ pancreas
	[ $${#failed[@]} = 0 ] || { echo "failed: $${failed[*]}"; exit 1; }

lock:  ## resolve every package again and write requirements.lock
	@folder=$$(mktemp -d)
	trap 'rm -rf "$$folder"' EXIT
	$$(.ci/python) -m venv "$$folder"
	"$$folder"/bin/python .ci/lock.py $(PIP)

clean:  ## remove the environments and caches that these commands made
	@rm -rf $(DEMO_VENV) $(VENV) $(TRITON_VENV) build .mypy_cache .ruff_cache .pytest_cache

# --no-compile: bytecode is written when a module is first used, most are never
define INSTALL
	@python=$$(.ci/python)
	[ -x $(1)/bin/pip ] || "$$python" -m venv $(1)
	echo "installing into $(1) ..."
	$(1)/bin/pip install --quiet --no-compile --prefer-binary $(PIP) -c $(LOCK) -e '.[$(2)]' $(3)
	rm -f $(1)/.ready-*
	touch $@
endef

$(DEMO_READY):
	$(call INSTALL,$(DEMO_VENV),$(DEMO_EXTRAS))

# torch is here for the training code's types and tests
$(TEST_READY):
	@.ci/packages $(TEST_PACKAGES)
	$(call INSTALL,$(VENV),cpu$(comma)monai$(comma)nnunet$(comma)int8$(comma)triton$(comma)postgres$(comma)dev)

# a real tritonserver; there is none for other systems, and the tests that want it say so
$(TRITON_READY):
	@python=$$(.ci/python)
	if ! "$$python" -c "$$TRITON_RUNS"; then
	    echo "no tritonserver for this system or Python; its tests will be left out"
	    exit 0
	fi
	[ -x $(TRITON_VENV)/bin/pip ] || "$$python" -m venv $(TRITON_VENV)
	echo "installing into $(TRITON_VENV) ..."
	$(TRITON_VENV)/bin/pip install --quiet --no-compile --no-deps --prefer-binary $(PIP) -r .ci/triton.txt
	rm -f $(TRITON_VENV)/.ready-*
	touch $@

define TRITON_RUNS
import platform, sys
there = sys.platform == "linux" and platform.machine() == "x86_64"
sys.exit(not (there and sys.version_info < (3, 14)))
endef
export TRITON_RUNS
