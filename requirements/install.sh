#!/usr/bin/env bash
# Brings .venv to what a lock says. Usage: install.sh sandbox|dev
#
# Quick when nothing changed: what was installed is remembered as a checksum of the locks, not as a time, so a fresh clone or a
# change of branch does not install again. dev holds everything that sandbox does, so it satisfies both.
set -euo pipefail
wanted=${1:?sandbox or dev}
cd "$(dirname "$0")/.."
venv=.venv
# Where the tools of a developer are, they stay: `make sandbox` after a change of the locks must not take pytest away.
if [ -f "$venv/.installed-dev" ]; then wanted=dev; fi

checksum() { cat requirements/uv.txt "requirements/$1.txt" pyproject.toml requirements/install.sh | cksum; }
installed() { [ -f "$venv/.installed-$1" ] && [ "$(cat "$venv/.installed-$1")" = "$(checksum "$1")" ]; }

if [ -x "$venv/bin/python" ] && { installed dev || installed "$wanted"; }; then exit 0; fi

find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  echo "Pilothouse needs Python 3.11 or newer; the python3 here is $(python3 --version 2>/dev/null || echo missing). Install python3.11 or newer and run make again." >&2
  return 1
}

# Two makes started at once would install over each other.
if command -v flock >/dev/null; then
  exec 9>.venv.lock
  flock 9
  if [ -x "$venv/bin/python" ] && { installed dev || installed "$wanted"; }; then exit 0; fi
fi

if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
  python=$(find_python)
  if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    echo "$python has no venv module: install it (Debian, Ubuntu: apt install python3-venv) and run make again." >&2
    exit 1
  fi
  echo "Making $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi
if ! "$venv/bin/python" -c 'import importlib.metadata as m, re, sys
sys.exit(m.version("uv") not in re.findall(r"^uv==(\S+)", open("requirements/uv.txt").read(), re.M))' >/dev/null 2>&1; then
  echo "Installing uv into $venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/uv.txt
fi
echo "Installing requirements/$wanted.txt into $venv"
# Compiled now, side by side: else the first start of every process would compile the same files at once.
"$venv/bin/uv" pip sync --python "$venv/bin/python" --compile-bytecode --require-hashes requirements/uv.txt "requirements/$wanted.txt"
# The project itself, so that its command and its entry points exist; nothing is fetched for it.
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --offline --no-deps --no-build-isolation --editable .
rm -f "$venv"/.installed-*
checksum "$wanted" >"$venv/.installed-$wanted"
