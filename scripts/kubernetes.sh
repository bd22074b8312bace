#!/usr/bin/env bash
# Puts etcd, kube-apiserver and kube-controller-manager into .tools/ for tests against a real API server.
# etcd comes out of the Debian package `etcd-server`; the others are built from their Go module, whose version stands
# in tools/kubernetes/go.mod. Programs that are present and report the right version are left alone, and where
# KUBEBUILDER_ASSETS names a folder with all three there is nothing to do at all.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/go_build.sh

programs=(kube-apiserver kube-controller-manager)
version=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" { print substr($3, 2) }' tools/kubernetes/go.mod)
folder=${TRIERARCH_TOOLS:-$PWD/.tools}/kubernetes-$version

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    for program in etcd "${programs[@]}"; do
        [ -x "$KUBEBUILDER_ASSETS/$program" ] || { echo "KUBEBUILDER_ASSETS has no $program" >&2; exit 1; }
    done
    exit 0
fi
mkdir -p "$folder"

if ! "$folder/etcd" --version >/dev/null 2>&1; then
    if installed=$(command -v etcd); then
        ln -sf "$installed" "$folder/etcd"
    else
        echo "taking etcd out of the Debian package etcd-server"
        scratch=$(mktemp -d "$folder/download.XXXXXX")
        trap 'rm -rf "$scratch"' EXIT
        # A fresh machine may not have read the lists of packages yet.
        (cd "$scratch" &&
            { apt-get download --quiet etcd-server || { apt-get update --quiet && apt-get download --quiet etcd-server; }; } &&
            dpkg-deb --extract ./*.deb .)
        mv "$scratch/usr/bin/etcd" "$folder/etcd"
        rm -rf "$scratch"
        trap - EXIT
    fi
    "$folder/etcd" --version | sed -n 1p
fi

# Clients refuse a server that does not know its own version, and the compiler has to be told it.
IFS=. read -r major minor _ <<<"$version"
known=k8s.io/component-base/version
flags="-s -w -X $known.gitVersion=v$version -X $known.gitMajor=$major -X $known.gitMinor=$minor"
missing=()
for program in "${programs[@]}"; do
    if [ "$("$folder/$program" --version 2>/dev/null)" != "Kubernetes v$version" ]; then
        missing+=("k8s.io/kubernetes/cmd/$program")
    fi
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "building Kubernetes $version into $folder, once: some ten minutes on two cores, seconds from Go's cache"
    go_build tools/kubernetes "$folder" "$flags" "${missing[@]}"
    for program in "${programs[@]}"; do
        "$folder/$program" --version
    done
fi
