# `make` alone says what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest -n auto
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock'

# The real servers that the tests talk to, what builds networks for them, the oracle for
# certificates, what shows the calls of a process, and what sets its clock wrong, by Debian package.
SERVERS := dovecot-pop3d iproute2 nftables openssl strace faketime
SYSTEMS := icinga2-bin icinga2-common nagios4-core nagios-nrpe-server nagios-nrpe-plugin influxdb
# The Icinga Director. php-cgi comes first, so that php brings no web server along.
SYSTEMS += php-cgi php-cli php-mysql icingacli icingaweb2-module-director
SYSTEMS += mariadb-client-core mariadb-server-core
# What a sweep is compared with.
PEERS := monitoring-plugins-basic prometheus-blackbox-exporter monitoring-plugins-contrib bind9-host
# These exclude Dovecot and each other: each is unpacked into a root of its own.
COURIER := courier-pop courier-authlib-userdb
CYRUS := cyrus-pop3d sasl2-bin libsasl2-modules
POPA3D := popa3d libpam-modules ucspi-tcp
MAILUTILS := mailutils-pop3d libpam-modules ucspi-tcp
# For the pictures of the README.
SCREENSHOTS := icinga2-bin icinga2-common icingadb redis-server mariadb-client-core \
	mariadb-server-core php-cgi php-cli php-mysql icingadb-web icingaweb2 icingacli chromium \
	pngquant optipng

# Read by tests/support/demo.py.
export LOGIN PASSWORD_FILE
# Not from the environment: some shells have the name of the machine itself there.
ifeq ($(origin HOST),command line)
export HOST
else
unexport HOST
endif

SHARE ?= 1
PARTS ?=
SECONDS ?= 60
TARGETS ?=

.PHONY: help demo venv generated test record test-systems soak fuzz bench lint lock audit screenshots \
	clean servers systems programs

help:
	@echo 'make demo           see it work; against your own server with'
	@echo '                    HOST=pop.example.org LOGIN=monitor PASSWORD_FILE=file'
	@echo 'make test           style, types and tests; what needs a missing server is skipped'
	@echo 'make record         after a change of what is printed: what the tests compare it with, anew'
	@echo 'make test-systems   tests inside real monitoring systems, and against more servers'
	@echo 'make coverage       how much of the code the tests run, the installed command included'
	@echo 'make mutants        how many mistakes the tests notice; ROOMS="pop3 text" tries some rooms'
	@echo 'make soak           the long runs against hostile servers, and their figures; SHARE=0.1: a tenth'
	@echo '                    PARTS="chaos stalls": these'
	@echo 'make fuzz           fuzz what comes from outside, each door for SECONDS=60; TARGETS=argv: one'
	@echo 'make bench          what runs and sweeps cost, beside other tools; installs them, as root'
	@echo 'make lint           style and types'
	@echo 'make lock           after a change of dependencies: their versions and hashes'
	@echo 'make audit          are there advisories about any of them? asks the internet'
	@echo 'make generated      after a change of options: the options of the README and the Director basket'
	@echo 'make screenshots    as root: take the pictures of the README anew'
	@echo 'make clean          remove what the others made'
	@echo 'INSTALL=1           with test, test-systems or screenshots, as root on Debian: install'
	@echo '                    missing servers'

demo: $(STAMP)
	@$(BIN)/python -m tests.support.demo

venv: $(STAMP)

# The real interpreter: a pyenv shim costs 90 ms at every start. Everything from elsewhere comes with
# its hash; the project itself is built by the setuptools that came so, and by nothing else.
$(STAMP): setup.cfg pyproject.toml tests/requirements.txt
	@echo 'Installing into $(VENV) ...'
	@"$$($(PYTHON) -c 'import os, sys; print(os.path.realpath(sys.executable))')" -m venv $(VENV)
	@$(PIP) --require-hashes --requirement tests/requirements.txt
	@$(PIP) --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# The versions and hashes of everything, anew: for users, and with the tools of the tests.
lock:
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@echo 'setuptools >=77' | $(LOCK) --output-file requirements.txt setup.cfg -
	@$(LOCK) --extra test --constraint requirements.txt --output-file tests/requirements.txt \
		setup.cfg requirements.txt
	@$(LOCK) --extra fuzz --constraint tests/requirements.txt \
		--output-file tests/fuzz/requirements.txt setup.cfg

# Asks the advisory databases, over the internet, about every version that is installed.
audit: $(STAMP)
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --require-hashes --disable-pip --requirement requirements.txt
	.venv-audit/bin/pip-audit --require-hashes --disable-pip --requirement tests/requirements.txt

# The README and the basket for the Icinga Director have every option of the plugin.
generated: $(STAMP)
	$(BIN)/python -m tests.support.generated

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: servers lint
	$(PYTEST) --ignore=tests/systems tests

# What is printed, as the tests of faults and threats see it; git shows what has changed.
record: servers $(STAMP)
	RECORD=all $(PYTEST) -m 'fault or threat' --ignore=tests/systems tests
	RECORD=some $(BIN)/python -m pytest tests/checks/test_recorded_command_lines.py

test-systems: systems $(STAMP)
	$(PYTEST) tests/systems

screenshots: programs $(STAMP)
	$(BIN)/python -m tests.support.screenshots

coverage: $(STAMP)
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n auto -m 'not cost' --ignore=tests/systems tests
	@$(BIN)/coverage combine --quiet
	@$(BIN)/python -m tests.strength.covered

mutants: $(STAMP)
	$(BIN)/python -m tests.strength $(if $(AGAIN),--again) $(if $(ROOMS),--rooms $(ROOMS)) \
		$(if $(SAMPLE),--sample $(SAMPLE)) -- $(TESTS)

soak: servers systems $(STAMP)
	$(BIN)/python -m tests.soak --share $(SHARE) $(PARTS)

# It has wheels for some Pythons only, and nothing else needs it.
$(VENV)/.fuzzer: $(STAMP) tests/fuzz/requirements.txt
	@$(PIP) --require-hashes --requirement tests/fuzz/requirements.txt
	@touch $@

fuzz: $(VENV)/.fuzzer
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(TARGETS)

bench: $(STAMP)
	@tests/install-servers $(SERVERS) $(PEERS)
	$(BIN)/python -m benchmarks.bench

ifneq ($(filter 1,$(INSTALL))$(filter true,$(CI)),)
servers:
	@tests/install-servers $(SERVERS)

programs:
	@tests/install-servers $(SERVERS) $(SCREENSHOTS)

systems:
	@tests/install-servers $(SERVERS) $(SYSTEMS)
	@tests/unpack-server .servers/courier-pop $(COURIER)
	@tests/unpack-server .servers/cyrus-pop3d $(CYRUS)
	@tests/unpack-server .servers/popa3d $(POPA3D)
	@tests/unpack-server .servers/mailutils-pop3d $(MAILUTILS)
endif

clean:
	rm -rf .venv .venv-* .servers .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* build dist
	rm -rf tests/fuzz/crashes
	rm -rf *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
