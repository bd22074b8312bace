# Sourced by the scripts that build programs from their Go modules: `go_build MODULE FOLDER LDFLAGS PACKAGE...` puts the
# programs of the packages into FOLDER, whole or not at all, and says every quarter of a minute how far it is.

go_build() {
    local module=$1 folder=$2 flags=$3
    shift 3
    if ! command -v go >/dev/null; then
        echo "Go 1.24 or newer is needed to build $*" >&2
        return 1
    fi
    mkdir -p "$folder"
    local scratch started=$SECONDS outcome=0
    scratch=$(mktemp -d "$folder/build.XXXXXX")
    # With -v every package is named once it has been compiled.
    (cd "$module" &&
        CGO_ENABLED=0 go build -v -p "${GO_JOBS:-$(nproc)}" -trimpath -ldflags "$flags" -o "$scratch/" "$@" 2>&1) |
        count_packages || outcome=$?
    if [ "$outcome" -eq 0 ]; then
        mv -f "$scratch"/* "$folder/"
        echo "  built in $((SECONDS - started)) s"
    fi
    rm -rf "$scratch"
    return "$outcome"
}

# Counts the lines that tell of progress and shows all others.
count_packages() {
    local line compiled=0 fetched=0 next=$((SECONDS + 15))
    while IFS= read -r line; do
        case $line in
            "go: downloading "*) fetched=$((fetched + 1)) ;;
            *[!a-zA-Z0-9_./-]*) echo "$line" ;;
            *) compiled=$((compiled + 1)) ;;
        esac
        if [ "$SECONDS" -ge "$next" ]; then
            echo "  $fetched modules fetched, $compiled packages compiled"
            next=$((SECONDS + 15))
        fi
    done
}
