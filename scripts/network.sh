#!/usr/bin/env bash
# What tests with network namespaces need beside iproute2: iptables and openssl. What is missing is installed from Debian's
# package as root; anyone else is told, and those tests say that they are skipped.
set -euo pipefail

missing=()
command -v ip >/dev/null || missing+=(iproute2)
command -v iptables >/dev/null || missing+=(iptables)
command -v setpriv >/dev/null || missing+=(util-linux)
command -v openssl >/dev/null || missing+=(openssl)
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "tests with network namespaces will be skipped: ${missing[*]} missing (Debian's package names)" >&2
    exit 0
fi
echo "installing ${missing[*]}"
apt-get install --yes --quiet --no-install-recommends "${missing[@]}" >/dev/null ||
    { apt-get update --quiet >/dev/null && apt-get install --yes --quiet --no-install-recommends "${missing[@]}" >/dev/null; }
