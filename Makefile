# What a newcomer runs: `make demo`, `make test`. Everything they need is set up here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

# The vendor's libraries that cannot share our environment, as clients of the tests
SDKS := .sdks
OLD_SDKS := $(SDKS)/python/.ready
NODE_SDK := $(SDKS)/node/.ready

# Debian packages that tests and benchmarks use as real parts: command=package
TOOLS := sshd=openssh-server ssh=openssh-client busybox=busybox mksh=mksh sudo=sudo nft=nftables ip=iproute2 \
         pgrep=procps redis-server=redis-server faketime=faketime node=nodejs npm=npm
# What the demo uses: an sshd of its own as root, else nothing
DEMO_TOOLS = $(if $(filter 0,$(shell id -u)),sshd=openssh-server ssh-keygen=openssh-client)

.PHONY: help setup tools demo-tools sdks demo test lint types imports format cover bench chaos simulate conformance clean
help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY)  ## a virtual environment with everything in it
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The Debian packages of a list; installs what is missing when it may
define installed
	@missing=; for pair in $(1); do PATH="$$PATH:/usr/sbin:/sbin" command -v $${pair%%=*} >/dev/null || missing="$$missing $${pair#*=}"; done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing:$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "missing Debian packages:$$missing; install them first (as root this is done for you)"; exit 1; fi
endef
tools:
	$(call installed,$(TOOLS))
demo-tools:
	$(call installed,$(DEMO_TOOLS))

sdks: setup tools  # the vendor's older libraries and that for Node; both at once, each only when its list has changed
	@$(MAKE) -s --no-print-directory -j2 $(OLD_SDKS) $(NODE_SDK)
$(OLD_SDKS): tests/sdks/requirements.txt
	@echo "installing the vendor's older Python libraries"
	@rm -rf $(@D)
	$(PYTHON) -m venv --without-pip $(@D)
	$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --no-compile --no-deps --disable-pip-version-check -r $<
	@touch $@
$(NODE_SDK): tests/sdks/package-lock.json tests/sdks/package.json
	@echo "installing the vendor's library for Node"
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	npm --prefix $(@D) ci --ignore-scripts --no-audit --no-fund --loglevel=error --no-progress >/dev/null
	@touch $@

demo: setup demo-tools  ## the main job, end to end, on this machine
	$(BIN)/python -m deploy.demo

test: setup tools sdks  ## every test; four at a time, since many wait for processes
	$(PYTEST) -n 4 --dist loadgroup $(ARGS)

lint: setup  ## style, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cover: setup tools sdks  ## coverage of the domain and the engine
	$(PYTEST) --cov=cloudassist_tasks.domain --cov=cloudassist_tasks.engine --cov-branch --cov-report=term $(ARGS)

conformance: setup  ## rewrite docs/conformance.md from the tables of tests/parity
	$(BIN)/python -m tests.parity.conformance

bench: setup tools  ## speed and memory, side by side with what users would pick instead
	$(BIN)/python -m bench $(ARGS)

chaos: setup tools  ## a storm of random faults for 25 minutes (ARGS="--seed N --minutes M"), then long forms of tests; an hour and a half
	$(BIN)/python -m tests.chaos $(ARGS)
	$(if $(ARGS),,$(PYTEST) -m chaos)

simulate: setup  ## thousands of simulated storms, each from its seed, and one invocation of 100,000 members
	$(BIN)/python -m tests.simulation $(or $(ARGS),--seeds 4000 --jobs 2)
	$(if $(ARGS),,$(BIN)/python -m tests.simulation --large 100000)

clean:
	rm -rf $(VENV) $(SDKS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis bench-results chaos-results
