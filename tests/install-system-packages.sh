#!/usr/bin/env bash
# Installs what the tests drive from Debian's packages: a browser, a database server, Japanese fonts, a voice.
# As root, what is missing is installed; as anyone else, the tests that need it skip and say so.
set -euo pipefail
missing=()
command -v chromium >/dev/null || missing+=(chromium)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ -n "$(fc-list :lang=ja family 2>/dev/null)" ] || missing+=(fonts-noto-cjk fontconfig)
command -v espeak-ng >/dev/null || missing+=(espeak-ng)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} - tests that need them will skip (on Debian: apt-get install ${missing[*]})"
  exit 0
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The server is started by the tests themselves, in a temporary directory: no cluster on the side.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
