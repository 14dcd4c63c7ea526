# make run: install and run the demonstration.  make test: install and run every test.
PYTHON ?= python3
# More options for pip. On Linux without a GPU, the small CPU build of torch:
#   make run PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test install check bench zoo cards results latencies docs clean

run: $(STAMP)
	$(BIN)/gasl demo

# Tests keep to one thread each, so they share out the cores.
TESTS := $(BIN)/pytest --numprocesses auto --dist worksteal

test: $(STAMP)
	$(TESTS)

install: $(STAMP)

# The stamp is written last, so an interrupted installation is taken up again.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[train,report,records,ray,export,dev]"
	touch $@

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(TESTS)

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[bench]"
	@status=0; for script in benchmarks/*.py; do echo "== $$script"; \
		$(BIN)/python "$$script" || status=$$?; done; exit $$status

# Every network of the zoo: exports, each unit that is left disturbed, and architectures of other model libraries (without
# their own dependencies: some ask for torchvision, for their data loading only). About 20 minutes.
zoo: $(STAMP)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt --no-deps timm vit-pytorch x-transformers \
		einops einx frozendict loguru torch-einops-utils
	GASL_ZOO=all $(BIN)/pytest tests/zoo
	$(BIN)/python benchmarks/zoo.py

# The tables of the method cards, from the records in docs/records/methods.
cards: $(STAMP)
	$(BIN)/python -m gasl.report.cards

# docs/results.md, from the same records.
results: $(STAMP)
	$(BIN)/python -m gasl.report.results

# The latencies of those records again, in one go; then the cards and the results. Nothing else should run.
latencies: $(STAMP)
	$(BIN)/python -m gasl.experiments.latencies
	$(BIN)/python -m gasl.report.cards
	$(BIN)/python -m gasl.report.results

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[docs]"
	$(BIN)/pdoc --docformat google --math --output-directory site gasl

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
