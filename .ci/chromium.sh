#!/usr/bin/env bash
# A browser for tests: Debian's Chromium and the driver that selenium speaks to.
#
#   .ci/chromium.sh install   install the packages where there are none (root, apt)
#   .ci/chromium.sh which     print the paths of browser and driver, a line each; exit code 2 where one is missing
set -euo pipefail

fail() { echo "error: $*" >&2; exit 2; }

find_programs() {
    browser="$(command -v chromium || command -v chromium-browser || command -v google-chrome)" && driver="$(command -v chromedriver || ls /usr/lib/chromium/chromedriver 2>/dev/null)"
}

install_packages() {
    if find_programs; then return 0; fi
    local remedy="install Chromium and its driver, such as: sudo apt-get install chromium chromium-driver"
    command -v apt-get >/dev/null || fail "no Chromium with a driver here, and no apt-get; install both (chromium, chromedriver) with your system's packages"
    [ "$(id -u)" = 0 ] || fail "no Chromium with a driver here, and only root may install it; $remedy"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >&2
    find_programs || fail "the packages are installed, but chromium or chromedriver is not to be found"
}

case "${1:-}" in
    install) install_packages ;;
    which)
        find_programs || fail "no Chromium with a driver here; run .ci/chromium.sh install"
        printf '%s\n' "$browser" "$driver"
        ;;
    *) fail "one of install, which; found: ${1:-nothing}" ;;
esac
