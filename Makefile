# The only door: every task of the house is a target here. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
ROUNDS ?= 20
SEED ?=
SEEDS ?= 200
SECONDS ?= 60
TARGET ?=
ONLY ?=

.PHONY: help run test check tidy fmt deny docs demo bench torture simulate

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run a whole node on ./data, listening on 127.0.0.1:7800
	$(CARGO) run --release -q -p infra-node --bin cursus

test: ## run every test, whole-stack runs with kill -9 included
	@mkdir -p target && $(CARGO) test --workspace --lib --bins --tests --no-fail-fast 2>&1 | tee target/test.log; \
	status=$$?; \
	awk '/^test result:/ { for (i = 1; i < NF; i++) { if ($$(i+1) ~ /^passed/) p += $$i; \
	  if ($$(i+1) ~ /^failed/) f += $$i } } END { printf "\n%d passed, %d failed\n", p, f }' target/test.log; \
	exit $$status

check: fmt-check clippy docs deny tidy ## format, lints, docs, licences and the tidy test

fmt: ## format everything
	$(CARGO) fmt --all

.PHONY: fmt-check clippy
fmt-check:
	$(CARGO) fmt --all -- --check
clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings
docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items -q
deny:
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check licenses bans sources
tidy:
	$(CARGO) test -q -p infra-testkit --test tidy

.PHONY: test-containers
test-containers: ## the adapters' law suites on containers (IMAGES=local: on images made here)
	@infra/deploy/images/test

demo: ## two people, a group, a kill -9 in mid conversation, and the proof
	$(CARGO) build --release -q -p infra-testkit --bins
	$(CARGO) run --release -q -p infra-testkit --bin cursus-demo

torture: ## kill -9 a node under load, ROUNDS times (SEED=n repeats a run)
	$(CARGO) build --release -q -p infra-testkit --bins
	$(CARGO) run --release -q -p infra-testkit --bin cursus-torture -- --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

.PHONY: torture-cluster
torture-cluster: ## kill, end and stall processes and servers of a cluster, ROUNDS times (SEED=n, ONLY=kafka,worker)
	$(CARGO) build --release -q -p infra-testkit --bins
	$(CARGO) run --release -q -p infra-testkit --bin cursus-torture -- --cluster --rounds $(ROUNDS) \
	  $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

simulate: ## the whole node on a simulated world, SEEDS seeds from SEED on (SEEDS=1 SEED=n repeats one)
	$(CARGO) run --profile bench-fast -q -p infra-testkit --bin cursus-simulate -- --seeds $(SEEDS) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz
fuzz: ## malicious bytes for every reader, SECONDS each (TARGET=name, SEED=n)
	$(CARGO) run --profile bench-fast -q -p infra-fuzz --bin cursus-fuzz -- --seconds $(SECONDS) \
	  $(if $(TARGET),--target $(TARGET)) $(if $(SEED),--seed $(SEED))

.PHONY: scale
scale: ## how evenly load falls on partitions, brokers and workers, as docs/scale.md quotes it
	@$(CARGO) run --profile bench-fast -q -p infra-testkit --bin cursus-scale

STACK = infra/deploy/local/stack

.PHONY: stack-up stack-status stack-down
stack-up: ## start a real Kafka, Cassandra and Redis on this machine (KAFKA_BROKERS=3: replicated)
	@$(STACK) up
stack-status: ## which of them answer, and where
	@$(STACK) status
stack-down: ## stop them; their data stays
	@$(STACK) down

LOAD = $(CARGO) run --release -q -p infra-load --bin cursus-load --

.PHONY: bench-build bench-full bench-pages bench-micro
bench-build:
	$(CARGO) build --release -q -p infra-node -p infra-load --bins

bench: bench-build ## measure beside the raw limits of this machine, in ten minutes; results in bench/results
	$(LOAD) sockets
	$(LOAD) inside
	$(LOAD) table

bench-full: bench-build ## the long set: larger logs, more sockets, more runs, memory under load for half an hour
	$(LOAD) sockets --full
	$(LOAD) inside --full --minutes 30
	$(LOAD) table

.PHONY: bench-cluster
bench-cluster: bench-build ## measure on a real Kafka, Cassandra and Redis, in half an hour
	$(LOAD) cluster
	$(LOAD) table

bench-pages: ## docs/benchmarks.md and its plots from bench/results
	$(LOAD) pages

bench-micro: ## criterion: codec, folds, append and scan
	$(CARGO) bench -q -p schemas -p projectors -p infra-log-embedded \
	  --bench codec --bench fold --bench append_scan
