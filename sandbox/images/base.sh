#!/usr/bin/env bash
# base.sh SUITE TAR: a small Debian with its Python as `python`, for the Dockerfile where no image of Python can be pulled.
set -euo pipefail
suite=$1 tar=$2
# Nothing of it needs to survive a power cut, and dpkg syncs every file.
root=$(mktemp -d --tmpdir="$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root"
ln -s /usr/bin/python3 "$root/usr/local/bin/python"
# pip and uv trust what the machine trusts.
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$root/etc/pip.conf"
mkdir -p "$root/etc/uv"
echo 'native-tls = true' >"$root/etc/uv/uv.toml"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale,info}/*
tar -C "$root" --numeric-owner --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -cf "$tar" .
