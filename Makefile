# `make` alone lists the commands.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two workers a processor, because many tests wait for a time limit or a process.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock'

# Debian packages of the tests: real servers, tools for network namespaces, OpenSSL as reference for
# certificates, a system call tracer, a tool that fakes the clock, and a checker of manual pages.
SERVERS := dovecot-pop3d iproute2 iputils-ping nftables openssl strace faketime mandoc
# Proxies in front of POP3.
SYSTEMS := nginx libnginx-mod-mail haproxy perdition
SYSTEMS += icinga2-bin icinga2-common nagios4-core nagios-nrpe-server nagios-nrpe-plugin influxdb
# The Icinga Director. php-cgi comes first, so that php brings no web server along.
SYSTEMS += php-cgi php-cli php-mysql icingacli icingaweb2-module-director
SYSTEMS += mariadb-client-core mariadb-server-core
# Prometheus and the collector of node_exporter that reads the metrics of a sweep.
SYSTEMS += prometheus prometheus-node-exporter
# Tools for comparison in the benchmark.
PEERS := monitoring-plugins-basic prometheus-blackbox-exporter wrk valgrind monitoring-plugins-contrib bind9-host
# These conflict with Dovecot and each other: each is unpacked into its own root directory.
COURIER := courier-pop courier-authlib-userdb
CYRUS := cyrus-pop3d sasl2-bin libsasl2-modules
POPA3D := popa3d libpam-modules ucspi-tcp
POSTFIX := postfix dovecot-core dovecot-pop3d dovecot-lmtpd dovecot-sieve postgrey
EXIM := exim4-daemon-light dovecot-pop3d dovecot-lmtpd
MAILUTILS := mailutils-pop3d libpam-modules ucspi-tcp
# Packages for the pictures of the README.
SCREENSHOTS := icinga2-bin icinga2-common icingadb redis-server mariadb-client-core \
	mariadb-server-core php-cgi php-cli php-mysql icingadb-web icingaweb2 icingacli chromium \
	pngquant optipng
# Tools that build and test the packages.
BUILDERS := debootstrap iproute2 openssl rpm

# Read by tests/support/demo.py.
export LOGIN PASSWORD_FILE
# Not from the environment: some shells export the name of the machine as HOST.
ifeq ($(origin HOST),command line)
export HOST
else
unexport HOST
endif

# The Python versions (3.N) of Debian's development branch that `make test-sid` tests.
SID := 14 15

SHARE ?= 1
PARTS ?=
SECONDS ?= 60
TARGETS ?=

.PHONY: help demo venv generated quick test record test-systems soak fuzz bench lint lock audit screenshots \
	clean servers systems programs builders sdist deb test-deb rpm test-rpm bundle test-bundle release

help:
	@echo 'make demo           see it work; for your own server add'
	@echo '                    HOST=pop.example.org LOGIN=monitor PASSWORD_FILE=file'
	@echo 'make quick          style, types and unit tests: after every change'
	@echo 'make test           style, types and all tests; skips what needs a missing server'
	@echo 'make record         after an intended change of output: rewrite the recorded output'
	@echo 'make test-systems   test inside real monitoring systems, and against more servers'
	@echo 'make test-sid       as root on Debian: test on Python 3.14 and 3.15, before every release'
	@echo 'make test-debian12  unit tests and checks with the libraries of Debian 12 (or test-debian13)'
	@echo 'make coverage       branch coverage of the tests, including the installed command'
	@echo 'make mutants        mutation tests; MODULES="grammar scram" selects modules'
	@echo 'make soak           long runs against hostile servers; SHARE=0.1 runs a tenth,'
	@echo '                    PARTS="chaos stalls" selects parts'
	@echo 'make fuzz           fuzz every input for SECONDS=60; TARGETS=argv selects one'
	@echo 'make bench          CPU cost of runs and sweeps, compared with other tools;'
	@echo '                    installs those if run as root'
	@echo 'make lint           style and types'
	@echo 'make lock           after a change of dependencies: pin versions and hashes'
	@echo 'make audit          check all dependencies for known vulnerabilities (online)'
	@echo 'make generated      after a change of options, kinds or output: rewrite what the documents'
	@echo '                    show of them, and the Director basket'
	@echo 'make sdist deb rpm bundle   packages, in dist: source distribution and wheel; Debian 12 and'
	@echo '                    13 (as root on Debian); RHEL 9 and 10; archive with all libraries'
	@echo 'make test-deb       as root on Debian: install, run, upgrade and purge the Debian packages'
	@echo 'make test-rpm       as root on Debian: install, run and remove the RPM packages in a bare root'
	@echo 'make test-bundle    as root on Debian: run the archive in a bare root without network'
	@echo 'make release        as root on Debian: all packages of a tagged version, with checksums'
	@echo 'make screenshots    as root: retake the pictures of the README'
	@echo 'make clean          remove everything that the other commands made'
	@echo 'INSTALL=1           with test, test-systems, screenshots or a package, as root on Debian:'
	@echo '                    install missing servers and tools'

demo: $(STAMP)
	@$(BIN)/python -m tests.support.demo

venv: $(STAMP)

# The real interpreter: a pyenv shim costs 90 ms at every start. Every download is verified by its
# hash; the project itself is built with the pinned setuptools.
$(STAMP): setup.cfg pyproject.toml tests/requirements.txt
	@case '$(abspath $(VENV))' in *' '*) echo 'make: $(abspath $(VENV)): the path of an environment must' \
		'not contain a blank, or its commands cannot be started: make VENV=/path/of/another' >&2; exit 1; esac
	@echo 'Installing into $(VENV) ...'
	@real=$$($(PYTHON) -c 'import os, sys, venv, ensurepip; print(os.path.realpath(sys.executable)); \
		sys.exit(sys.version_info < (3, 10))' 2>/dev/null) || \
		{ echo 'make: Python 3.10 or newer with its venv module is needed: apt-get install python3-venv,' \
		'or name another one: make PYTHON=/path/to/python3' >&2; exit 1; }; \
		"$$real" -m venv $(VENV)
	@$(PIP) --require-hashes --requirement tests/requirements.txt
	@$(PIP) --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# Pin versions and hashes: for users, and with the tools of the tests.
lock:
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@echo 'setuptools >=77' | $(LOCK) --output-file requirements.txt setup.cfg -
	@$(LOCK) --extra test --constraint requirements.txt --output-file tests/requirements.txt \
		setup.cfg requirements.txt
	@$(LOCK) --extra packaging --constraint tests/requirements.txt \
		--output-file packaging/requirements.txt setup.cfg
	@$(LOCK) --extra fuzz --constraint tests/requirements.txt \
		--output-file tests/fuzz/requirements.txt setup.cfg
	@printf '%s\n' nagiosplugin==1.3.2 cryptography==38.0.4 setuptools==66.1.1 wheel==0.38.4 | \
		$(LOCK) --output-file tests/debian12-requirements.txt -
	@printf '%s\n' nagiosplugin==1.3.2 cryptography==43.0.0 setuptools==78.1.1 | \
		$(LOCK) --output-file tests/debian13-requirements.txt -

# Check every pinned version against the advisory databases (online).
audit: $(STAMP)
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --require-hashes --disable-pip --requirement requirements.txt
	.venv-audit/bin/pip-audit --require-hashes --disable-pip --requirement tests/requirements.txt
	.venv-audit/bin/pip-audit --require-hashes --disable-pip --requirement packaging/requirements.txt

# Rewrite what is made from the code: lists of options and kinds, the basket for the Icinga
# Director, and the outputs that the documents show.
generated: $(STAMP)
	$(BIN)/python -m tests.support.generated
	packaging/debian-changelog

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Unit tests wait for nothing: one worker a processor.
quick: lint
	$(PYTEST) -n auto -q --hypothesis-profile quick tests/unit

test: servers lint $(VENV)/.packaging
	$(PYTEST) --ignore=tests/systems tests

# What needs no real server, on the newest Pythons of Debian: before every release.
test-sid:
	tests/debian-root sid sh -ec 'tests/install-servers $(foreach minor,$(SID),python3.$(minor)-venv) \
		$(filter-out dovecot%,$(SERVERS)); \
		for minor in $(SID); do make simulated PYTHON=python3.$$minor VENV=.venv-3.$$minor || exit; done'

simulated: $(STAMP)
	$(PYTEST) -m 'not real' --ignore=tests/systems tests

# With the libraries of Debian 12, which are the lower bounds of setup.cfg, or of Debian 13.
LIBRARY_TESTS ?= tests/unit tests/checks
test-debian12 test-debian13: test-%:
	@$(MAKE) --no-print-directory venv VENV=.venv-$*
	@$(subst $(VENV),.venv-$*,$(PIP)) --require-hashes --requirement tests/$*-requirements.txt
	@$(subst $(VENV),.venv-$*,$(PIP)) --no-index --no-deps --no-build-isolation --editable .
	$(subst $(VENV),.venv-$*,$(PYTEST)) -q -m 'not real' $(LIBRARY_TESTS)

# Rewrite the recorded output of the fault and threat tests; git diff shows the changes.
record: servers $(STAMP)
	RECORD=all $(PYTEST) -m 'fault or threat' --ignore=tests/systems tests
	RECORD=some $(BIN)/python -m pytest tests/checks/test_recorded_command_lines.py

# Where it is the installed one, the tests need no other.
HAS_DOVECOT_2_4 = PATH="$$PATH:/usr/sbin" dovecot --version 2>/dev/null | grep -q '^2\.4'

test-systems: systems $(STAMP)
	$(PYTEST) tests/systems
	$(HAS_DOVECOT_2_4) || DOVECOT_ROOT=$(CURDIR)/.servers/dovecot-2.4/root $(PYTEST) \
		tests/checks/test_dovecot.py tests/systems/test_proxies.py tests/systems/test_mailboxes.py
	$(HAS_DOVECOT_2_4) || SERVERS=.servers/trixie $(PYTEST) tests/systems/test_delivery.py

screenshots: programs $(STAMP)
	$(BIN)/python -m tests.support.screenshots

coverage: $(STAMP)
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n auto -m 'not cost' --ignore=tests/systems tests
	@$(BIN)/coverage combine --quiet
	@$(BIN)/python -m tests.strength.covered

mutants: $(STAMP)
	$(BIN)/python -m tests.strength $(if $(AGAIN),--again) $(if $(MODULES),--modules $(MODULES)) \
		$(if $(SAMPLE),--sample $(SAMPLE)) -- $(TESTS)

soak: servers systems $(STAMP)
	$(BIN)/python -m tests.soak --share $(SHARE) $(PARTS)

# The fuzzer has wheels for some Python versions only, and nothing else needs it.
$(VENV)/.fuzzer: $(STAMP) tests/fuzz/requirements.txt
	@$(PIP) --require-hashes --requirement tests/fuzz/requirements.txt
	@touch $@

# Checkers of the source distribution and of the workflow.
$(VENV)/.packaging: $(STAMP) packaging/requirements.txt
	@$(PIP) --require-hashes --requirement packaging/requirements.txt
	@touch $@

# The packages, in dist. Those of Debian are built and tested in root directories that are made once.
ROOTS ?= /var/tmp/check_pop3_plus-roots
SDIST = dist/check_pop3_plus-$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' check_pop3_plus/__init__.py).tar.gz

sdist: $(STAMP)
	@packaging/build-sdist $(BIN)/python dist

deb: builders sdist
	@for suite in bookworm trixie; do packaging/build-deb $$suite $(ROOTS) $(SDIST) dist || exit; done

test-deb: deb
	@for suite in bookworm trixie; do packaging/test-deb $$suite $(ROOTS) dist || exit; done

rpm: builders sdist
	@packaging/build-rpm $(BIN)/python $(SDIST) dist

test-rpm: rpm
	@for suite in bookworm trixie; do packaging/test-rpm $$suite $(ROOTS) dist || exit; done

bundle: sdist
	@packaging/build-bundle $(BIN)/python $(SDIST:.tar.gz=-py3-none-any.whl) dist

# For the Python of this environment; of Debian 13: tests/debian-root trixie make test-bundle INSTALL=1
test-bundle: builders bundle
	@case $$($(BIN)/python -c 'import sys; print(sys.version_info.minor)') in \
		11) packaging/test-bundle bookworm $(ROOTS) dist ;; \
		13) packaging/test-bundle trixie $(ROOTS) dist ;; \
		*) echo 'make test-bundle: needs PYTHON=python3.11 or python3.13, which Debian has' >&2; exit 1 ;; esac

release: builders $(STAMP)
	@packaging/release $(BIN)/python $(ROOTS) dist/release

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

builders:
	@tests/install-servers $(BUILDERS)

systems:
	@tests/install-servers $(SERVERS) $(SYSTEMS)
	@$(HAS_DOVECOT_2_4) || RELEASE=trixie tests/unpack-server .servers/dovecot-2.4 dovecot-pop3d
	@tests/unpack-server .servers/courier-pop $(COURIER)
	@tests/unpack-server .servers/cyrus-pop3d $(CYRUS)
	@tests/unpack-server .servers/popa3d $(POPA3D)
	@tests/unpack-server .servers/postfix $(POSTFIX)
	@tests/unpack-server .servers/exim4-daemon-light $(EXIM)
	@$(HAS_DOVECOT_2_4) || RELEASE=trixie tests/unpack-server .servers/trixie/postfix $(POSTFIX)
	@$(HAS_DOVECOT_2_4) || RELEASE=trixie tests/unpack-server .servers/trixie/exim4-daemon-light $(EXIM)
	@tests/unpack-server .servers/mailutils-pop3d $(MAILUTILS)
endif

clean:
	rm -rf .venv .venv-* .servers .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* build dist
	rm -rf tests/fuzz/crashes
	rm -rf *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
