# The README's commands. Everything runs in .venv, made on first use.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    ?= runs/quickstart
# Each rebuilds the tables and figures of a page from stored rows.
REPORTS := report search_quality/report planted/page branch_summary
# Threads that wait by spinning slow a shared machine down many times.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: quickstart test test-slow report mutants fuzz lint format clean

quickstart: $(VENV)/.installed
	$(BIN)/atrcnas run quickstart --run $(RUN)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

report: $(VENV)/.installed-dev
	for page in $(wildcard $(REPORTS:%=analysis/%.py)); do \
	    $(BIN)/python -m $$(echo $${page%.py} | tr / .) || exit; done

mutants: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants $(MUTANTS)

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.guided $(FUZZ)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[deploy]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
