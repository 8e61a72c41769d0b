#!/usr/bin/env bash
# Prints the directory that holds kube-apiserver, etcd and kubectl for tests and the demo.
# Order: KUBEBUILDER_ASSETS, the cache, setup-envtest's download, a build from the Go modules.
set -euo pipefail

# The binaries run here, whatever is being built for.
unset GOOS GOARCH
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binaries=(kube-apiserver etcd kubectl)

say() { echo "controlplane: $*" >&2; }

has() { # DIR BINARY...
	local directory=$1 binary
	for binary in "${@:2}"; do [[ -x $directory/$binary ]] || return 1; done
}

# download asks setup-envtest, whose index not every network reaches.
download() {
	local limit=() found
	! command -v timeout >/dev/null || limit=(timeout 120)
	found=$(${limit[@]+"${limit[@]}"} go run sigs.k8s.io/controller-runtime/tools/setup-envtest@release-0.25 \
		use "${version%.*}.x" --bin-dir "$new/download" -p path 2>/dev/null) || return 1
	has "$found" "${binaries[@]}" && cp "$found"/* "$new/bin/"
}

# build takes about eight minutes on two cores with nothing cached, seconds afterwards.
build() {
	say "building Kubernetes $version and etcd from their Go modules (once; minutes)"
	local flags="-s -w" package minor=${version#*.} log=$cache.log
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=${version%%.*} -X $package.gitMinor=${minor%%.*}"
		flags+=" -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
	done
	CGO_ENABLED=0 go build -C "$here/controlplane" -v -trimpath -ldflags "$flags" -o "$new/bin/" \
		k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl go.etcd.io/etcd/server/v3 >"$log" 2>&1 &
	builder=$!
	trap 'kill $builder 2>/dev/null || true; rm -rf "$new"' EXIT
	while kill -0 $builder 2>/dev/null; do
		sleep 1
		((SECONDS % 10)) || say "$SECONDS s: $(grep -c '^go: downloading' "$log" || true) modules fetched," \
			"$(grep -vc '^go: ' "$log" || true) packages compiled"
	done
	wait $builder || { tail -n 20 "$log" >&2; say "the build failed; its log is $log"; return 1; }
	# go build names it after the last element of its import path.
	mv "$new/bin/server" "$new/bin/etcd" 2>/dev/null || mv "$new/bin/v3" "$new/bin/etcd"
}

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
	has "$KUBEBUILDER_ASSETS" kube-apiserver etcd ||
		{ say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no kube-apiserver and etcd"; exit 1; }
	echo "$KUBEBUILDER_ASSETS"
	exit
fi

version=$(go -C "$here/controlplane" list -m -f '{{.Version}}' k8s.io/kubernetes)
version=${version#v}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/queuescaler/controlplane/$version-$(go env GOOS)-$(go env GOARCH)
if ! has "$cache" "${binaries[@]}"; then
	mkdir -p "$(dirname "$cache")"
	exec 9>"$cache.lock"
	! command -v flock >/dev/null || flock 9 # two make runs side by side build once
fi
if ! has "$cache" "${binaries[@]}"; then
	new=$(mktemp -d "$cache.XXXXXX") # beside the cache, so that it appears there as a whole
	trap 'rm -rf "$new"' EXIT
	mkdir "$new/bin"
	download || build
	rm -rf "$cache"
	mv "$new/bin" "$cache"
	say "ready in $SECONDS s: $cache"
fi
echo "$cache"
