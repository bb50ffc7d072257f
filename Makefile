# The few commands people type. Set-up is part of each; see scripts/setup.sh.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
ENV := . scripts/env.sh

.PHONY: demo test bench serve deny help

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: ## index the documented functions of this build's own sources and ask six questions
	@scripts/setup.sh
	$(ENV)
	echo "building bigrain (the first build compiles RocksDB: about 20 minutes on 2 cores)" >&2
	cargo build --release --locked -p bigrain-tools
	"$$CARGO_TARGET_DIR/release/bigrain" demo

test: ## everything CI checks: format, lints, tests, doc tests, docs
	@scripts/setup.sh test
	$(ENV)
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	REQUIRE_MODEL=1 cargo nextest run --cargo-profile release --locked --workspace
	cargo test --release --locked --workspace --doc
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

bench: ## time the kernels
	@scripts/setup.sh
	$(ENV)
	cargo bench --locked -p bigrain-benches

serve: ## serve the data folder ./bigrain-data on 127.0.0.1
	@scripts/setup.sh
	$(ENV)
	cargo run --release --locked -p bigrain-tools -- serve

deny: ## licences and sources of every dependency (needs cargo-deny)
	cargo deny check bans licenses sources
