# The project's commands. `make` lists them.

SHELL := /usr/bin/env
.SHELLFLAGS := bash -euo pipefail -c
.DEFAULT_GOAL := help

# Scratch builds gain nothing from incremental compilation and pay for it in time and disk.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

CARGO ?= cargo
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 60
SOAK_SEED ?= 1000
# Open at once, and twice as many file descriptors.
CONNECTIONS ?= 5000
# Of each of eight profiles: about a minute on two cores.
SIMULATOR_RUNS ?= 300
SIMULATE = $(CARGO) test --locked --profile simulator -p campanile-shard-router --lib simulator

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: setup
setup: ## Install what the tests need and the machine lacks (Redis, Chromium, SDKs)
	tests/setup.sh

.PHONY: test
test: setup alerts simulate ## Run every test: unit, property, simulated, end to end with real Redis, SDKs and a browser; and the alerts
	tests/run.sh --workspace

.PHONY: simulate
simulate: ## Run the simulator of moves through SIMULATOR_RUNS seeds of each of its profiles
	SIMULATOR_RUNS=$(SIMULATOR_RUNS) $(SIMULATE)

.PHONY: soak-simulator
soak-simulator: ## Run the simulator through ever new seeds, from SOAK_SEED on, until interrupted
	@seed=$(SOAK_SEED); \
	while SIMULATOR_FROM=$$seed SIMULATOR_RUNS=500 $(SIMULATE)::tests::every; do \
	    echo "seeds $$seed to $$((seed + 499)): every promise was kept"; seed=$$((seed + 500)); \
	done; exit 1

.PHONY: e2e
e2e: setup ## Run some end-to-end tests only: make e2e TEST=recovery_truth
	$(if $(TEST),,$(error say which: make e2e TEST=<file in tests/tests, without .rs>))
	@# The gateway's own test is selected too, because that is what makes cargo build its binary.
	tests/run.sh --workspace --test binary $(foreach name,$(TEST),--test $(name))

.PHONY: memory
memory: setup ## Weigh CONNECTIONS idle connections of each transport, in a release build
	CONNECTIONS=$(CONNECTIONS) tests/run.sh --release --workspace --test binary --test network -- \
	    idle_connections_are_weighed --nocapture

.PHONY: soak
soak: setup ## In turns, simulate 500 seeds and break real processes for SOAK_SECONDS, until interrupted or a promise is broken
	$(CARGO) build --locked -p campanile-gateway
	@seed=$(SOAK_SEED); \
	while SIMULATOR_FROM=$$((seed * 500)) SIMULATOR_RUNS=500 $(SIMULATE)::tests::every && \
	    CHAOS_SEED=$$seed CHAOS_SECONDS=$(SOAK_SECONDS) \
	    $(CARGO) test --quiet --locked -p campanile-tests --test chaos; do \
	    echo "seed $$seed: every promise was kept"; seed=$$((seed + 1)); \
	done; \
	echo "seed $$seed: a promise was broken"; exit 1

.PHONY: check
check: fmt-check clippy doc deny ## Formatting, lints, documentation, dependencies; warnings are errors

.PHONY: fmt-check
fmt-check: ## Check the formatting
	$(CARGO) fmt --all --check
	cd fuzz && $(CARGO) fmt --check

.PHONY: clippy
clippy: ## Lint everything
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: doc
doc: ## Build the documentation
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --document-private-items --locked

.PHONY: deny
deny: ## Check the dependencies: bans, licences, sources
	PATH="$$(tests/tools.sh cargo-deny):$$PATH" $(CARGO) deny --all-features --workspace check --hide-inclusion-graph bans licenses sources

.PHONY: configdoc
configdoc: ## Bring the tables of keys in docs/configuration.md up to date with the definitions of the keys
	$(CARGO) run --locked -p campanile-gateway -- configdoc --into docs/configuration.md

.PHONY: advisories
advisories: ## Check the dependencies against the advisory database (needs a network)
	PATH="$$(tests/tools.sh cargo-deny):$$PATH" $(CARGO) deny --all-features --workspace check --hide-inclusion-graph advisories

.PHONY: sbom
sbom: ## Write what the binary is made of to target/campanile.cdx.json (CycloneDX), for SBOM_TARGET (this machine's kind)
	@mkdir -p target
	python3 tests/sbom.py $(SBOM_TARGET) > target/campanile.cdx.json

# So that the binary says nothing of the folders that it was built in, and is the same wherever it is. The profiles have line tables,
# for backtraces: it is these that name folders. (mimalloc says when it was compiled; with SOURCE_DATE_EPOCH C compilers say that instead.)
CARGO_HOME_FOLDER = $${CARGO_HOME:-$$HOME/.cargo}
REMAP = --remap-path-prefix=$(CURDIR)=/campanile --remap-path-prefix=$(CARGO_HOME_FOLDER)=/cargo \
    --remap-path-prefix=$$(rustc --print sysroot)=/rust
PROFILE ?= release

.PHONY: release
release: ## Build the binary so that it is the same, byte for byte, wherever the same compiler builds it
	RUSTFLAGS="$(REMAP)" CFLAGS="-ffile-prefix-map=$(CARGO_HOME_FOLDER)=/cargo" CARGO_INCREMENTAL=0 \
	    SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-0}" \
	    $(CARGO) build --locked --profile $(PROFILE) -p campanile-gateway

.PHONY: reproducible
reproducible: ## Build it twice, in two folders, and compare (takes two whole builds)
	tests/reproducible.sh $(PROFILE)

ALERTS = target/alerts

.PHONY: alerts
alerts: ## Check the alerts' rules and the dashboard's expressions with Prometheus' own tool, and have alerts go off
	tests/setup.sh prometheus
	@mkdir -p $(ALERTS)
	@# What Prometheus calls a file of rules is what stands in the resource below `spec`.
	sed -e '1,/^spec:/d' -e 's/^  //' k8s/base/monitoring/rules.yaml > $(ALERTS)/rules.yaml
	cp k8s/base/monitoring/rules_test.yaml $(ALERTS)
	python3 tests/dashboard_rules.py > $(ALERTS)/dashboard.yaml
	promtool check rules $(ALERTS)/rules.yaml $(ALERTS)/dashboard.yaml
	promtool test rules $(ALERTS)/rules_test.yaml

MICRO = $(CARGO) bench --locked -p campanile-benches --bench micro --
BASELINE = $(CURDIR)/benches/baseline.json

.PHONY: bench
bench: ## Measure what is done most often, and compare with benches/baseline.json; fails if something has become worse
	tests/setup.sh valgrind
	$(MICRO) check $(BASELINE)

.PHONY: bench-baseline
bench-baseline: ## Measure the same, and keep it in benches/baseline.json
	tests/setup.sh valgrind
	$(MICRO) keep $(BASELINE)

.PHONY: bench-micro
bench-micro: ## Look at the times of FILTER (all micro-benchmarks) closely, with criterion
	$(MICRO) $(FILTER)

.PHONY: fuzz
fuzz: ## Fuzz each codec for FUZZ_SECONDS
	@cd fuzz && for target in fuzz_targets/*.rs; do \
	    name="$$(basename "$$target" .rs)"; \
	    echo "fuzz $$name: $(FUZZ_SECONDS) s"; \
	    mkdir -p "corpus/$$name" "artifacts/$$name"; \
	    $(CARGO) run --quiet --release --locked --bin "$$name" -- -max_total_time=$(FUZZ_SECONDS) -timeout=5 \
	        -rss_limit_mb=1024 -max_len=4096 -artifact_prefix="artifacts/$$name/" "corpus/$$name" "seeds/$$name"; \
	done
