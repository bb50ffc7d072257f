# The few commands people type. Set-up is part of each; see scripts/setup.sh.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
ENV := . scripts/env.sh

.PHONY: demo demo-service demo-pictures learn-demo test test-gpu soak bench bench-data bench-peers bench-codes bench-filters bench-cold bench-service bench-encode bench-code serve deny help

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: ## index the documented functions of this build's own sources and ask six questions
	@scripts/setup.sh
	$(ENV)
	echo "building bigrain (the first build compiles RocksDB: about 20 minutes on 2 cores)" >&2
	cargo build --release --locked -p bigrain-tools
	"$$CARGO_TARGET_DIR/release/bigrain" demo

demo-service: ## serve those functions, run four clients in Python, and take screenshots of the console into screenshots/
	@scripts/setup.sh service
	$(ENV)
	cargo build --release --locked -p bigrain-tools
	scripts/demo_service.sh

demo-pictures: ## index captioned pictures of a package, and write what is found to pictures.html
	@scripts/setup.sh images
	$(ENV)
	cargo build --release --locked -p bigrain-tools
	"$$CARGO_TARGET_DIR/release/bigrain" demo --images "$$BIGRAIN_PICTURES" --html pictures.html

PLOT ?= --plot learn.svg
learn-demo: ## learn codes on WordNet, compare them with the rotation and with floats, draw losses to learn.svg (PLOT= ARGS=--adapters: adapters, ARGS=--versions: versions)
	@scripts/setup.sh learn
	$(ENV)
	cargo build --release --locked -p bigrain-tools
	"$$CARGO_TARGET_DIR/release/bigrain" train demo --wordnet "$$BIGRAIN_WORDNET" --model "$$BIGRAIN_STATIC_MODEL" \
		$(PLOT) $(ARGS)

test: ## everything CI checks: format, lints, tests, doc tests, docs
	@scripts/setup.sh test
	$(ENV)
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	[ ! -e "$$BIGRAIN_NVRTC" ] || export REQUIRE_NVRTC=1
	! command -v chromium-headless-shell >/dev/null || export REQUIRE_BROWSER=1
	REQUIRE_MODEL=1 REQUIRE_CLIENTS=1 cargo nextest run --cargo-profile release --locked --workspace
	cargo test --release --locked --workspace --doc
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

test-gpu: ## compare a GPU with the CPU, and look for races and bad accesses; a machine without one fails
	@scripts/setup.sh test
	$(ENV)
	export REQUIRE_GPU=1
	cargo nextest run --cargo-profile release --locked -p bigrain-gpu
	if ! command -v compute-sanitizer >/dev/null; then
		echo "no compute-sanitizer here: accesses out of bounds and races were not looked for" >&2
		exit
	fi
	for tool in memcheck racecheck; do
		runner="[\"compute-sanitizer\", \"--tool\", \"$$tool\", \"--error-exitcode\", \"1\"]"
		cargo nextest run --cargo-profile release --locked -p bigrain-gpu --test agreement --config "target.\"cfg(all())\".runner = $$runner"
	done

soak: ## the tests of reliability for hours (SOAK=0.1 for a tenth, SOAK_SEED=N); rows for docs/reliability.md
	@scripts/setup.sh test
	$(ENV)
	scripts/soak.sh

bench: ## time the kernels
	@scripts/setup.sh
	$(ENV)
	cargo bench --locked -p bigrain-benches

# What these share: the program, their Python, and where figures go. SET picks a set, ARGS adds flags.
SET ?= all
PEERS := benches/peers
BENCH = scripts/setup.sh && scripts/peers.sh && cargo build --release --locked -p bigrain-tools
BENCH_FLAGS = --cache "$$BIGRAIN_CACHE" --bigrain "$$CARGO_TARGET_DIR/release/bigrain"
BENCH_PYTHON = "$$BIGRAIN_CACHE/peers/bin/python"

bench-data: ## make the vector sets of the comparisons (once; 305,000 texts are encoded)
	@$(ENV)
	$(BENCH)
	$(BENCH_PYTHON) $(PEERS)/prepare.py $(BENCH_FLAGS) --model "$$BIGRAIN_MODEL" --set $(SET)

bench-peers: $(if $(RENDER),,bench-data) ## compare with other engines (SET=glove, fashion, sentences, wide; RENDER=1 only draws)
	@scripts/peers.sh
	$(ENV)
	$(BENCH_PYTHON) $(PEERS)/compare.py $(BENCH_FLAGS) --old-python "$$BIGRAIN_CACHE/peers-old/bin/python" \
		--out docs/benchmarks --set $(SET) $(if $(RENDER),--render-only) \
		--command "make bench-peers SET=$(SET)$(if $(ARGS), ARGS='$(ARGS)')" $(ARGS)

bench-codes: bench-data ## compare codes alone with FAISS RaBitQ
	@$(ENV)
	$(BENCH_PYTHON) $(PEERS)/codes.py $(BENCH_FLAGS) --out docs/benchmarks --set $(SET) \
		--command "make bench-codes SET=$(SET)$(if $(ARGS), ARGS='$(ARGS)')" $(ARGS)

bench-filters: $(if $(RENDER),,bench-data) ## compare filtered searches with other engines (SET, RENDER=1 as above)
	@scripts/peers.sh
	$(ENV)
	$(BENCH_PYTHON) $(PEERS)/filtered.py $(BENCH_FLAGS) --out docs/benchmarks --set $(SET) \
		$(if $(RENDER),--render-only) \
		--command "make bench-filters SET=$(SET)$(if $(ARGS), ARGS='$(ARGS)')" $(ARGS)

bench-service: SET = sentences
bench-service: bench-data ## write through the service beside Qdrant Edge, and search beside the library
	@$(ENV)
	$(BENCH_PYTHON) $(PEERS)/service.py $(BENCH_FLAGS) --out docs/benchmarks --set $(SET) \
		--command "make bench-service SET=$(SET)$(if $(ARGS), ARGS='$(ARGS)')" $(ARGS)

bench-cold: SET = sentences
bench-cold: bench-data ## search ten times as much data as memory, beside a mapped graph
	@$(ENV)
	$(BENCH_PYTHON) $(PEERS)/cold.py $(BENCH_FLAGS) --out docs/benchmarks --set $(SET) \
		--command "make bench-cold SET=$(SET)$(if $(ARGS), ARGS='$(ARGS)')" $(ARGS)

bench-encode: ## compare our encoder with onnxruntime (TEXTS=a file with a text on each line; ARGS adds flags)
	@scripts/setup.sh
	scripts/peers.sh encode
	$(ENV)
	cargo build --release --locked -p bigrain-tools
	"$$CARGO_TARGET_DIR/release/bigrain" encode --bench --against onnxruntime --file $(TEXTS) $(ARGS)

bench-code: ## search long functions by their own comments (ARGS adds flags of bigrain eval)
	@scripts/setup.sh
	$(ENV)
	cargo build --release --locked -p bigrain-tools
	flags="$$(scripts/code.sh)"
	"$$CARGO_TARGET_DIR/release/bigrain" eval $$flags $(ARGS)

serve: ## serve the data folder ./bigrain-data on 127.0.0.1
	@scripts/setup.sh
	$(ENV)
	cargo run --release --locked -p bigrain-tools -- serve

deny: ## licences and sources of every dependency (needs cargo-deny)
	cargo deny check bans licenses sources
