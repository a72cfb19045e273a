# On a fresh Debian machine with Python 3.11 to 3.13, make and npm, each verb below installs what it needs by itself.
.DEFAULT_GOAL := help
.PHONY: help setup demo tune test test-quick check docs bench streaming lock audit sbom

VENV ?= .venv
BIN := $(VENV)/bin
# more for the command itself: make demo ARGS='--out DIR', make test ARGS='-k wire'
ARGS ?=
# processes that run tests; 0 runs them in one, one after the other
JOBS ?= 2

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What a user needs, and what a developer needs besides; each installs when its stamp is older than what it is made from.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev

setup: $(DEV) ## Make the virtual environment and install everything into it, with the tools for development

$(RUN): pyproject.toml constraints.txt requirements/run.txt .ci/setup
	@test -e $(DEV) && test $(DEV) -nt pyproject.toml && touch $(RUN) || .ci/setup $(VENV) run

$(DEV): pyproject.toml constraints.txt requirements/dev.txt .ci/setup
	@.ci/setup $(VENV) dev

demo: $(RUN) ## See it work in under a minute, once installed: pictures, a video and a verdict in demo-out/
	@$(BIN)/gazecast models pull nanodet || echo "going on without the detector of objects"
	@$(BIN)/gazecast demo $(ARGS)

tune: $(RUN) ## Try the int8 encoder, and use it where it is faster and as good; ten seconds, once
	@$(BIN)/gazecast models pull mobile_sam
	@$(BIN)/gazecast engine build --precision int8

test: $(DEV) ## Run the whole test suite
	@$(BIN)/gazecast models pull mobile_sam || echo "testing without the model: what needs it is skipped"
	@$(BIN)/gazecast models pull nanodet || echo "testing without the detector: what needs it is skipped"
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

# The pure parts: no network's weights, no browser, no process. Nor the tracker as a whole, which is played many clips.
QUICK := $(addprefix tests/realtime/,tracking comms config infra media) tests/calibration/gaze tests/calibration/test_camera.py \
	tests/calibration/test_rigid.py tests/test_house.py \
	$(addprefix --ignore=tests/realtime/tracking/,test_tracker.py test_user_overrides.py)

test-quick: $(DEV) ## Run the tests of the pure parts, in under a minute
	$(BIN)/python -m pytest -n $(JOBS) $(QUICK) $(ARGS)

check: $(DEV) ## Lint, check formatting, types and the layers of ARCHITECTURE.md
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV) ## Build the documentation as a web site into site/, and check its links
	$(BIN)/python docs/generate_settings.py
	$(BIN)/python docs/generate_dependencies.py
	$(BIN)/mkdocs build --strict

bench: $(RUN) ## Measure speed on this machine, as JSON and a table
	@$(BIN)/gazecast models pull mobile_sam
	@$(BIN)/gazecast engine bench $(ARGS)

streaming: $(DEV) ## Evaluate streaming masks on clips: make streaming DATA=CLIPS, half an hour alone
	@test -n "$(DATA)" || { echo "say where the clips are: make streaming DATA=DIR, of NAME/frames/*.jpg and NAME/masks/*.png"; exit 2; }
	@$(BIN)/gazecast models pull mobile_sam
	@$(BIN)/python -m benchmarks.streaming --data "$(DATA)" $(ARGS)

# Tools for the supply of packages, in an environment of their own, so that they are no part of what they describe.
TOOLS := $(VENV)/supply-tools
$(TOOLS)/.installed: requirements/tools.txt
	@$(VENV)/bin/python -m venv $(TOOLS)
	@$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --retries 1 --timeout 20 -r requirements/tools.txt
	@touch $@

LOCK = $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' \
	-c constraints.txt pyproject.toml requirements/build.in

lock: $(DEV) $(TOOLS)/.installed ## Renew requirements/: every dependency with its version and the hashes of all its files
	$(LOCK) --extra run -o requirements/run.txt
	$(LOCK) --extra dev --override requirements/no-torch.in -o requirements/dev.txt
	$(BIN)/python docs/generate_dependencies.py

audit: $(RUN) ## Look for known vulnerabilities of the locked dependencies
	@.ci/audit $(TOOLS)

sbom: $(RUN) $(TOOLS)/.installed ## Write sbom.cdx.json (CycloneDX): all that is installed for gazecast in .venv, with licences
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o sbom.cdx.json $(BIN)/python
