#!/usr/bin/env bash
# Prints what nothing here may change of a machine, a line for each thing: the devices, /etc, the home's dot files
# but its caches, and git's global configuration. CI compares what it prints before and after. It reads no file's
# contents, but sizes, modes and times. An argument is a directory to use for / in a test.
set -euo pipefail
root=${1:-}

# A device that became a file (/dev/null, where a program renames another file to it) has another type.
find "$root/dev" -mindepth 1 -maxdepth 1 -exec stat -c '%N %F %a %u:%g %t:%T' {} + | LC_ALL=C sort

# A directory changes with what is in it, so its times and size are left out.
listing() { # of DIRECTORY...
	find "$@" \( -type d -printf '%p %y %m %U:%G\n' \) -o -printf '%p %y %m %U:%G %s %T@ %l\n' 2>/dev/null | LC_ALL=C sort
}
listing "$root/etc"

cd "$HOME"
shopt -s nullglob dotglob
listing .[!.]* -maxdepth 0 | grep -vE '^\.(cache|npm) |^\.[a-z_]*(history|hst) ' || true
for directory in .config .kube .local .ssh; do # whose programs the tests run, or might
	[[ ! -d $directory ]] || listing "$directory" | grep -v '^\.config/go/telemetry' || true
done
echo "git config --global: $(git config --global --list 2>/dev/null | sha256sum)"
