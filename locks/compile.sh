#!/usr/bin/env bash
# Writes every lock again, after a change of a requirements file (needs: pip install uv==0.13.9). Versions that still fit
# stay; "locks/compile.sh --upgrade" takes the newest of all that the requirements leave open.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # machine, name, then what goes in
  local machine=$1 name=$2
  shift 2
  uv pip compile --quiet --no-config --python-version 3.11 --python-platform "$machine-manylinux_2_28" --only-binary :all: \
    --no-binary pyturbojpeg --generate-hashes --no-emit-index-url --annotation-style line --custom-compile-command locks/compile.sh \
    --output-file "locks/linux-$machine-py311-$name.txt" "$@"
}

# One package of the tests, pyturbojpeg, is published as source alone; nothing of the app is.
# The app and everything around it are resolved together; the app alone then takes the versions found there.
lock x86_64 dev requirements-dev.txt "$@"
common=(--constraints locks/linux-x86_64-py311-dev.txt)
lock x86_64 app requirements.txt "${common[@]}" "$@"
lock aarch64 app requirements.txt "${common[@]}" "$@"
lock x86_64 app-cuda requirements.txt - "${common[@]}" "$@" <<<"onnxruntime-gpu[cuda,cudnn]"
