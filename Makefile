# Short names for what README and .ci/run do. `make install` once, then the rest works in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test ci lint format contracts docs figures lock

install:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --require-hashes -r constraints-test.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .

demo:
	$(BIN)/gateway demo

test:
	$(BIN)/pytest -q

ci:
	.ci/run

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

contracts:
	$(BIN)/lint-imports

# the pages of docs/reference that are made from the code
docs:
	$(BIN)/python -m docs.generate

# hours: ten thousand worlds, every kill point, every planted mistake; writes its page
figures:
	$(BIN)/python tests/simulation/figures.py --seeds 10000 --bug-seeds 1000 --out docs/reference/figures.md

# Two hashed files without any address in them. The build backend is locked too, so that nothing is fetched unhashed.
LOCK = uv pip compile pyproject.toml - -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra postgres

lock:
	echo 'hatchling>=1.27' | UV_PYTHON_DOWNLOADS=never $(BIN)/$(LOCK) -o constraints.txt
	echo 'hatchling>=1.27' | UV_PYTHON_DOWNLOADS=never $(BIN)/$(LOCK) --extra test -c constraints.txt -o constraints-test.txt
	! grep -nE '://|^-|^/' constraints.txt constraints-test.txt
