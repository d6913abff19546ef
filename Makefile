# make demo: see the line at work.  make test: run every test.  make check: what CI checks.  make help: the rest.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
UV_VERSION := 0.13.8

.DEFAULT_GOAL := help
.PHONY: help install demo test test-cluster check format docs tools images constraints schemas clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## Install everything into .venv
$(STAMP): pyproject.toml constraints/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Conveyor needs Python 3.11 or newer; say which with: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (the first time takes a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints/dev.txt \
		--compile-bytecode --editable '.[embedded,cluster]' --group dev
	@$(BIN)/python -m compileall -q src
	@touch $@

demo: $(STAMP) ## Run the line on real data in front of your eyes
	@$(BIN)/conveyor demo

test: $(STAMP) tools ## Run every test
	$(BIN)/python -m pytest -n 2 --dist loadscope -q

test-cluster: $(STAMP) tools ## Test on a real cluster with Knative (says what it needs); TESTS=... for some
	@scripts/test-cluster $(TESTS)

check: $(STAMP) ## Lint, types, import rules, docs: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/schemas.py --check
	$(BIN)/mkdocs build --quiet --strict --site-dir .site

format: $(STAMP) ## Format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Serve the documentation on this machine
	$(BIN)/mkdocs serve

tools: $(STAMP) ## Get what the tests need beside Python: MinIO and kustomize, into .tools
	@scripts/minio
	@scripts/kustomize

images: ## Build the images of functions/Dockerfile, tagged by commit
	@scripts/images

constraints: $(STAMP) ## Lock the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-index-url \
		--no-emit-find-links --extra embedded --extra cluster --group dev pyproject.toml -o constraints/dev.txt

schemas: $(STAMP) ## Write the JSON Schemas of all event types anew
	$(BIN)/python scripts/schemas.py

clean: ## Remove what was installed and built here
	rm -rf .venv .tools .site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
