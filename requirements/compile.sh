#!/usr/bin/env bash
# Compiles the locks from pyproject.toml. Usage: compile.sh UV renew|check
#
# renew  takes the newest versions that pyproject.toml allows.
# check  compiles again with the present locks as preferences, in a copy, and compares: a newer release of something does not
#        make it fail, a changed pyproject.toml or a hand-edited lock does.
set -euo pipefail
uv=$(realpath "${1:?path of uv}") mode=${2:?renew or check}
top=$(cd "$(dirname "$0")/.." && pwd)

compile() { # compile OUTPUT ARGUMENTS...
  local output=$1
  shift
  echo "  $output" >&2
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command "make locks" ${upgrade[@]+"${upgrade[@]}"} "$@" --output-file "$output" >/dev/null
}

compile_all() { # the widest set first: it constrains the others, so one version of each package is in use everywhere
  local narrower=(--constraint requirements/dev.txt)
  compile requirements/dev.txt pyproject.toml --extra sandbox --group pyproject.toml:dev --group pyproject.toml:build
  compile requirements/sandbox.txt pyproject.toml --extra sandbox --group pyproject.toml:build "${narrower[@]}"
  compile requirements/runtime.txt pyproject.toml "${narrower[@]}"
  compile requirements/build.txt --group pyproject.toml:build "${narrower[@]}"
  compile requirements/uv.txt --group pyproject.toml:uv
  compile requirements/go.txt --group pyproject.toml:go
}

case $mode in
  renew)
    upgrade=(--upgrade)
    cd "$top"
    compile_all
    ;;
  check)
    upgrade=()
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    mkdir "$copy/requirements"
    cp "$top/pyproject.toml" "$copy/"
    cp "$top"/requirements/*.txt "$copy/requirements/"
    cd "$copy"
    compile_all
    for lock in requirements/*.txt; do
      if ! diff -u "$top/$lock" "$lock" >"$copy/diff"; then
        head -n 20 "$copy/diff" >&2
        echo "$lock does not match pyproject.toml: run 'make locks' and commit the result." >&2
        exit 1
      fi
    done
    echo "The locks match pyproject.toml."
    ;;
  *)
    echo "usage: compile.sh UV renew|check" >&2
    exit 2
    ;;
esac
