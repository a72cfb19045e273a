# On a fresh Debian machine with Python 3.11 to 3.13, make and npm, each verb below installs what it needs by itself.
.DEFAULT_GOAL := help
.PHONY: help setup demo tune test check bench streaming

VENV ?= .venv
BIN := $(VENV)/bin
# more for the command itself: make demo ARGS='--out DIR', make test ARGS='-k wire'
ARGS ?=

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Make the virtual environment and install everything into it

$(VENV)/.installed: pyproject.toml constraints.txt .ci/setup
	@.ci/setup $(VENV)

demo: setup ## See it work on a real clip in about a minute: pictures, a video and a table in demo-out/
	@$(BIN)/gazecast models pull mobile_sam
	@$(BIN)/gazecast demo $(ARGS)
	@$(MAKE) --no-print-directory tune || echo "gazecast runs without it: the encoder works in bfloat16 or float32"

tune: setup ## Build the int8 encoder for 16:9 frames, a quarter faster than bfloat16; a minute or two, once
	@$(BIN)/gazecast models pull mobile_sam
	@$(BIN)/gazecast engine build --precision int8

test: setup ## Run the whole test suite
	@$(BIN)/gazecast models pull mobile_sam || echo "testing without the model: what needs it is skipped"
	$(BIN)/python -m pytest $(ARGS)

check: setup ## Lint, check formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## Measure speed on this machine, as JSON and a table
	@$(BIN)/gazecast models pull mobile_sam
	@$(BIN)/gazecast engine bench $(ARGS)

streaming: setup ## How well masks fit what is looked at now: make streaming DATA=CLIPS, half an hour alone
	@test -n "$(DATA)" || { echo "say where the clips are: make streaming DATA=DIR, of NAME/frames/*.jpg and NAME/masks/*.png"; exit 2; }
	@$(BIN)/gazecast models pull mobile_sam
	@$(BIN)/python -m benchmarks.streaming --data "$(DATA)" $(ARGS)
