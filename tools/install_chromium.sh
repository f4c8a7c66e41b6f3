#!/bin/sh
# Chromium for `make test-web`: Debian's package where this user may install it, otherwise Playwright's own copy in the
# user's cache. Where neither can be had the tests that need it are skipped, and say so.
set -eu

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing the system package chromium"
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; then exit 0; fi
fi
echo "Installing Playwright's Chromium into the user's cache"
"$1/bin/python" -m playwright install chromium || echo "no Chromium here: the tests that need it will be skipped" >&2
