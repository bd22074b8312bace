#!/usr/bin/env bash
# Builds Helm from its Go module into .tools/, for the tests of the charts; its version stands in tools/helm/go.mod.
# A program that is present and reports the right version is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/go_build.sh

version=$(awk '$1 == "require" && $2 == "helm.sh/helm/v3" { print substr($3, 2) }' tools/helm/go.mod)
folder=${TRIERARCH_TOOLS:-$PWD/.tools}/helm-$version
helm=$folder/helm

if [ "$("$helm" version --template '{{ .Version }}' 2>/dev/null)" = "v$version" ]; then
    exit 0
fi
echo "building Helm $version into $folder, once: two minutes, seconds from Go's cache"
go_build tools/helm "$folder" "-s -w -X helm.sh/helm/v3/internal/version.version=v$version" helm.sh/helm/v3/cmd/helm
"$helm" version --short
