#!/usr/bin/env bash
# Prints the directory that holds job systems of Node for tests: bullmq5, bullmq6 and bull in node_modules.
# They come from npm, once, into a cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packages=(bullmq5@npm:bullmq@5.81.5 bullmq6@npm:bullmq@6.7.0 bull@4.16.5)
oldest_node=18

say() { echo "jobclients: $*" >&2; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/queuescaler/jobclients/$(printf '%s\n' "${packages[@]}" | tr -c '[:alnum:].\n' - | paste -sd+)
if ! [[ -d $cache ]]; then
	mkdir -p "$(dirname "$cache")"
	exec 9>"$cache.lock"
	! command -v flock >/dev/null || flock 9 # two make runs side by side install once
fi
if ! [[ -d $cache ]]; then
	command -v npm >/dev/null || "$here/prerequisites.sh" npm
	if (($(node -p 'parseInt(process.versions.node)') < oldest_node)); then
		say "install Node $oldest_node or later and try again"
		exit 1
	fi
	say "installing ${packages[*]} (once; half a minute)"
	new=$(mktemp -d "$cache.XXXXXX") # beside the cache, so that it appears there as a whole
	trap 'rm -rf "$new"' EXIT
	npm install --prefix "$new" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error "${packages[@]}" >&2
	mv "$new" "$cache"
	say "ready in $SECONDS s: $cache"
fi
echo "$cache"
