# SPDX-License-Identifier: MIT
# What tools/try, tools/test and .ci/run share. Sourced by sh from the root of the repository, after
# `set -eu`. Each step prints one line; what it writes goes to build/log and is shown if it fails.

packages_to_build="gcc g++ libc6-dev cmake ninja-build pkg-config liburcu-dev libjansson-dev libxxhash-dev"
packages_to_test="libcriterion-dev python3 binutils clang-format clang-tidy"
packages_for_ci="clang libtbb-dev libuv1-dev libglib2.0-dev libboost-fiber-dev libevent-dev libspdlog-dev"

jobs=$(nproc)
log_folder=build/log
mkdir -p "$log_folder"
steps_passed=0
steps_failed=0

say() {
    printf '%s\n' "$*"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need_packages PACKAGE...: installs those that are missing, and does nothing if none is.
need_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "packages: this is no Debian; please have the like of these: $*"
        return 0
    fi
    missing=
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        say "packages: all there"
        return 0
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root="sudo -n"
        if ! sudo -n true 2>/dev/null; then
            say "packages: missing, and neither root nor sudo without a password:$missing"
            say "packages: please run: apt-get install$missing"
            return 1
        fi
    fi
    step "packages: installing$missing" install_packages "$as_root" $missing
}

install_packages() {
    as_root=$1
    shift
    $as_root apt-get update &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --no-install-recommends "$@"
}

# print_failed_tests LOG: the end of what each test said that failed in a run of ctest.
print_failed_tests() {
    awk '
        function show() {
            for (i = count > 40 ? count - 40 : 0; i < count; i++) print lines[i]
            count = 0
        }
        / Test +#[0-9]+: / { show(); failed = /\*\*\*/ && !/\*\*\*(Skipped|Not Run)/ }
        /^ +Start +[0-9]+: / || /^[0-9]+% tests passed/ { show(); failed = 0 }
        failed { lines[count++] = $0 }
        END { show() }' "$1"
}

# step TEXT COMMAND...: runs the command; prints the text, how it ended and how long it took.
step() {
    text=$1
    shift
    log=$log_folder/$(printf '%s' "$text" | tr -cs 'a-z0-9\n' '_' | cut -c 1-40).txt
    started=$(date +%s)
    printf '%s ... ' "$text"
    result=0
    "$@" >"$log" 2>&1 </dev/null || result=$?
    took=$(($(date +%s) - started))
    closing=$(sed -n 's/^\([0-9]*% tests passed.*\)/, \1/p' "$log" | tail -n 1)
    if [ "$result" -eq 0 ]; then
        steps_passed=$((steps_passed + 1))
        say "done in $took s$closing"
    else
        steps_failed=$((steps_failed + 1))
        say "FAILED after $took s$closing"
        sed 's/^/    /' "$log" | tail -n 200
        print_failed_tests "$log" | sed 's/^/    /'
        say "    (all of it: $log)"
    fi
    return "$result"
}

# build PRESET [TARGET...]
build() {
    preset=$1
    shift
    configure_and_build() {
        cmake --preset "$preset" && cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}
    }
    step "build: preset $preset" configure_and_build "$@"
}

# gcc 12's ThreadSanitizer does not start where the kernel spreads addresses over more than 28 bits.
without_random_addresses() {
    bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)
    if [ "$1" = tsan ] && [ "$bits" -gt 28 ] && setarch -R true 2>/dev/null; then
        echo "setarch -R"
    fi
}

# run_tests PRESET [CTEST ARGUMENT...]
run_tests() {
    preset=$1
    shift
    step "tests: preset $preset${2:+, $2}" $(without_random_addresses "$preset") \
        ctest --preset "$preset" "$@"
}
