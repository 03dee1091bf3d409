#!/usr/bin/env bash
# The project with its torch backend, for the tests that need it: the constraints pin a version of which a CPU build is at hand.
#
#   .ci/torch.sh install   install '.[torch]' into the environment that `make install` makes
#   .ci/torch.sh which     print the version of torch there; exit code 2 where there is none
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python

fail() { echo "error: $*" >&2; exit 2; }

case "${1:-}" in
    install)
        make install
        "$python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch]' || fail "torch can't be installed: $python -m pip install '.[torch]' says why"
        "$python" -c 'import torch' || fail "torch is installed, but can't be imported"
        ;;
    which) "$python" -c 'import importlib.metadata as m; print(m.version("torch"))' 2>/dev/null || fail "no torch here; run .ci/torch.sh install" ;;
    *) fail "one of install, which; found: ${1:-nothing}" ;;
esac
