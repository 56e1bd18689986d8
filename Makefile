# The README's commands. Everything runs in .venv, made on first use.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    ?= runs/quickstart
# Threads that wait by spinning slow a shared machine down many times.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: quickstart test test-slow report mutants fuzz environments lint format locked lock sbom audit clean

quickstart: $(VENV)/.installed
	$(BIN)/atrcnas run quickstart --run $(RUN)

# A worker that dies ends the run, which then names its test: a new one in its place hides that, or waits for ever.
# A test that hangs is named as well, with what it waits for.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --max-worker-restart 0 --timeout 900

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

report: $(VENV)/.installed-dev
	$(BIN)/python -m analysis.rebuild

mutants: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants $(MUTANTS)

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.guided $(FUZZ)

# Interpreters that are here: make environments ENVIRONMENTS="--python python3.12 --versions newest"
environments: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[environments]'
	$(BIN)/python -m tests.environments $(ENVIRONMENTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# .venv with exactly the versions that were tested (Python 3.11, Linux); the other targets then use it.
locked:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(VENV)/.installed $(VENV)/.installed-dev

# After the tests have passed in .venv.
lock: $(VENV)/.installed-dev
	$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip --exclude uv --exclude atheris > requirements/lock.txt

sbom: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[sbom]'
	mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements/lock.txt --output-reproducible --of JSON -o build/sbom.json

# Without --strict, packages that the database cannot be asked about would count as free of known vulnerabilities.
audit: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[sbom]'
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement requirements/lock.txt

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[deploy]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
