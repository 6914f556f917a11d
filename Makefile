# make play     play a world: driving, unless      make play ARGS="--game runner"
# make test     the tests, on CPU                  make test ARGS="-k cache"
# make lint     ruff and pyright
# make format   let ruff repair what it can
# make clean    remove .venv and caches
#
# The first one also makes .venv and installs everything there. Needs Python >= 3.11; PYTHON=python3.12 chooses another.
# On Linux the plain torch is the CUDA build, a few GB. `make play TORCH=cpu` (the first time) takes the small CPU build,
# TORCH=cu126 one for that CUDA. pip's own settings, such as PIP_CONSTRAINT and PIP_INDEX_URL, are honoured.

PYTHON ?= python3
VENV   ?= .venv
TORCH  ?=
ARGS   ?=

BIN   := $(VENV)/bin
READY := $(VENV)/.ready

define CHECK
{ $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "aapt_env needs Python 3.11 or newer, but '$(PYTHON)' is" \
    "$$($(PYTHON) --version 2>/dev/null || echo 'not found'); try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
  false; }; }
endef

# A .venv whose Python is gone is made anew; one that only lacks pip is kept.
FRESH = $$($(BIN)/python -c "" 2>/dev/null || echo --clear)

.DEFAULT_GOAL := help
.PHONY: help setup play test lint format clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(READY)

# Runs again only when pyproject.toml changes. pip's answer goes through, so an error is read where it happens.
$(READY): pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(CHECK) && $(PYTHON) -m venv $(FRESH) $(VENV); }
	$(if $(TORCH),$(BIN)/python -m pip install torch --index-url https://download.pytorch.org/whl/$(TORCH))
	$(BIN)/python -m pip install -e ".[dev]"
	@touch $@

play: $(READY)
	$(BIN)/python -m aapt_env.play $(if $(findstring --game,$(ARGS)),,--game driving) $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
