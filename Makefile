# Two commands are enough: `make run` and `make test`. The rest is for those who change things.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
WEB := clients/web/dist/index.html
WEB_SOURCES := $(shell find clients/js/src clients/web/src clients/web/public -type f 2>/dev/null) \
	$(wildcard clients/*/package.json clients/package-lock.json clients/*/index.html clients/*/*.ts clients/*/tsconfig.json)

.PHONY: run setup test check bench cluster fmt web clean lock

run: $(VENV)/.run $(WEB)
	@$(BIN)/hubbub dev

setup: $(VENV)/.test $(WEB)

test: $(VENV)/.test
	@$(BIN)/python -m tests.run all

check: $(VENV)/.test
	@$(BIN)/python -m tests.run check

bench: $(VENV)/.test
	@$(BIN)/python -m bench

# A whole cluster on this machine to play with: LOG=cassandra (the default) or LOG=postgres, PORT=8080.
cluster: $(VENV)/.test $(WEB)
	@LOG="$(LOG)" PORT="$(PORT)" $(BIN)/python -m tests.support.play

fmt: $(VENV)/.test
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

web: $(WEB)

$(VENV)/pyvenv.cfg:
	@sh tests/support/make_venv.sh "$(PYTHON)" $(VENV)

$(VENV)/.run: $(VENV)/pyvenv.cfg requirements.lock pyproject.toml
	@echo "Installing Hubbub into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements-test.lock
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-test.lock
	@touch $@

$(WEB): $(VENV)/.run $(WEB_SOURCES)
	@sh tests/support/build_web.sh $(BIN)

# Pins anew what pyproject.toml asks for (needs pip-tools in $(VENV)).
lock:
	@$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate --extra calls -o requirements.lock pyproject.toml requirements-build.in
	@$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate --extra test --extra cassandra --extra postgres --extra redis --extra s3 \
		--extra calls -c requirements.lock \
		-o requirements-test.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate --extra calls --extra cassandra --extra postgres --extra redis --extra s3 \
		-c requirements-test.lock \
		-o requirements-cluster.lock pyproject.toml

clean:
	rm -rf $(VENV) clients/node_modules clients/*/dist bench/build
