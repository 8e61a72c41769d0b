#!/usr/bin/env bash
# Makes sure of a real Redis, a real Sidekiq, RQ and Celery, and a C compiler: from PATH, else from the system's
# package manager where that asks nothing, else with a message that says what to install. Arguments are further
# packages that the caller misses.
set -euo pipefail

missing=("$@")
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing+=(redis-server)
command -v ruby >/dev/null && ruby -e 'require "sidekiq"' 2>/dev/null || missing+=(ruby-sidekiq)
ruby -e 'require "redis-namespace"' 2>/dev/null || missing+=(ruby-redis-namespace)
has_python() { python3 -c "import $1" 2>/dev/null || /usr/bin/python3 -c "import $1" 2>/dev/null; }
has_python rq || missing+=(python3-rq)
has_python celery,redis || missing+=(python3-celery python3-redis)
command -v "${CC:-gcc}" >/dev/null || command -v cc >/dev/null || missing+=(gcc libc6-dev) # for the race detector
((${#missing[@]})) || exit 0

as_root=()
((EUID == 0)) || as_root=(sudo -n)
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
	echo "prerequisites: installing ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	# Keeps the package from starting a server of its own on the default port.
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	exit 0
fi
cat >&2 <<MESSAGE
prerequisites: missing ${missing[*]}. Install them and try again:
  Debian, Ubuntu:  sudo apt-get install ${missing[*]}
  macOS:           brew install redis ruby && gem install sidekiq:6.4.1 redis-namespace && pip3 install rq celery redis
MESSAGE
exit 1
