# Two commands: `make app` sets everything up and starts the page, `make test` sets up the same way and tests.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Threads that wait by spinning slow small machines down several times.
export OMP_WAIT_POLICY ?= passive
export GRADIO_ANALYTICS_ENABLED ?= False
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: app test lint check fix models llm optional-llm bench soak slow clean

app: $(VENV)/runtime.stamp optional-llm $(VENV)/models.stamp
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/dev.stamp optional-llm $(VENV)/models.stamp
	$(BIN)/python -m pytest -q $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

check: lint
	$(BIN)/python -m pytest -q -m "not slow and not browser"

fix: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

models: $(VENV)/runtime.stamp
	$(BIN)/python -m cir models pull embedded

bench: $(VENV)/dev.stamp $(VENV)/models.stamp
	$(BIN)/python benchmarks/ranking.py
	$(BIN)/python benchmarks/page.py

# Long campaigns: 10,000 damaged pictures, 50 kills, 100 programs and 100 pages at once, every connection of a
# session, the memory after 1,000 searches.
soak: $(VENV)/dev.stamp $(VENV)/models.stamp
	$(BIN)/python -m soak $(ARGS)

# The language model's package is built here. Where it cannot be, one sentence says so and all else goes on.
optional-llm: | $(VENV)/runtime.stamp
	@$(BIN)/python scripts/install_language_model.py

llm: $(VENV)/runtime.stamp
	$(BIN)/python scripts/install_language_model.py --again

clean:
	rm -rf $(VENV) gallery_cache/[!R]*

# Without a network the page starts as well and says what is missing; the next start then tries again.
$(VENV)/models.stamp: cir/models/published.py | $(VENV)/runtime.stamp
	@$(BIN)/python -m cir models pull embedded && touch $@ || echo "Starting without what could not be fetched."

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: requirements.txt constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/runtime.stamp
	$(BIN)/python -m pip install -q -r requirements-dev.txt -c constraints.txt
	@touch $@
