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

child=
# Each step runs in the background, where Ctrl-C does not reach it: Python would answer with a traceback.
interrupted() {
  trap - INT TERM
  if [ -n "$child" ]; then kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
  echo >&2
  echo "Interrupted. Run make again to continue." >&2
  exit 130
}
trap interrupted INT TERM
run() {
  "$@" &
  child=$!
  wait "$child"
  child=
}
step() { echo "[$1/4] $2 (${SECONDS} s so far)"; }

# Two makes started at once would install over each other.
if command -v flock >/dev/null; then
  exec 9>.venv.lock
  flock --nonblock 9 || { echo "Another make is installing into $venv; waiting for it"; flock 9; }
  if [ -x "$venv/bin/python" ] && { installed dev || installed "$wanted"; }; then exit 0; fi
fi

if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
  python=$(find_python)
  if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    echo "$python has no venv module: install it (Debian, Ubuntu: apt install python3-venv) and run make again." >&2
    exit 1
  fi
  step 1 "Making $venv with $("$python" --version)"
  rm -rf "$venv"
  run "$python" -m venv "$venv"
fi
if ! "$venv/bin/python" -c 'import importlib.metadata as m, re, sys
sys.exit(m.version("uv") not in re.findall(r"^uv==(\S+)", open("requirements/uv.txt").read(), re.M))' >/dev/null 2>&1; then
  step 2 "Installing uv, which installs the rest"
  run "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --require-hashes --requirement requirements/uv.txt
fi
step 3 "Installing the packages of requirements/$wanted.txt"
run "$venv/bin/uv" pip sync --python "$venv/bin/python" --require-hashes requirements/uv.txt "requirements/$wanted.txt"
# The project itself, so that its command and its entry points exist; nothing is fetched for it.
run "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --offline --no-deps --no-build-isolation --editable .
step 4 "Compiling what the sandbox imports"
# Once and by one process: the bot, the workers and the cluster start together and would each compile the same files. Compiling
# every installed file instead takes longer than all other steps together. What cannot be imported reports it when it is run.
run env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -c \
  'import bot.slack.manifest, bot.wiring, jobs.worker, sandbox.cluster.__main__, sandbox.main' 2>/dev/null || true
rm -f "$venv"/.installed-*
checksum "$wanted" >"$venv/.installed-$wanted"
