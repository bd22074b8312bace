#!/usr/bin/env bash
# Builds Helm from its Go module into .tools/, for the tests of the charts; its version stands in tools/helm/go.mod.
# A program that is present and reports the right version is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(awk '$1 == "require" && $2 == "helm.sh/helm/v3" { print substr($3, 2) }' tools/helm/go.mod)
folder=${TRIERARCH_TOOLS:-$PWD/.tools}/helm-$version
helm=$folder/helm

if [ "$("$helm" version --template '{{ .Version }}' 2>/dev/null)" = "v$version" ]; then
    exit 0
fi
echo "building Helm $version into $folder (some minutes the first time, seconds from Go's cache)"
mkdir -p "$folder"
(cd tools/helm &&
    CGO_ENABLED=0 go build -p "${GO_JOBS:-2}" -trimpath \
        -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=v$version" \
        -o "$helm.new" helm.sh/helm/v3/cmd/helm)
mv "$helm.new" "$helm"
"$helm" version --short
