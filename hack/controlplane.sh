#!/usr/bin/env bash
# Prints the directory that holds kube-apiserver, etcd and kubectl for tests and the demo.
# Order: KUBEBUILDER_ASSETS, the cache, setup-envtest's download, a build from the Go modules.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(cd "$here/controlplane" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
version=${version#v}
platform=$(go env GOOS)-$(go env GOARCH)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/queuescaler/controlplane/$version-$platform
binaries=(kube-apiserver etcd kubectl)

say() { echo "controlplane: $*" >&2; }

complete() { # DIR
	for binary in "${binaries[@]}"; do [[ -x $1/$binary ]] || return 1; done
}

# download asks setup-envtest, whose index not every network reaches.
download() {
	local found
	found=$(timeout 120 go run sigs.k8s.io/controller-runtime/tools/setup-envtest@release-0.25 \
		use "$version" --bin-dir "$cache.download" -p path 2>/dev/null) || return 1
	complete "$found" && mkdir -p "$cache" && cp "$found"/* "$cache/"
}

# progress counts the packages go build names, and speaks every five seconds.
progress() {
	local count=0 package last=$SECONDS
	while true; do
		if read -r -t 5 package; then count=$((count + 1)); elif (($? <= 128)); then break; fi
		if ((SECONDS - last >= 5)); then
			say "compiled $count of up to 1900 packages in ${SECONDS} s"
			last=$SECONDS
		fi
	done
}

# build takes about eight minutes on two cores with nothing cached, seconds afterwards.
build() {
	say "building Kubernetes $version and etcd from their Go modules into $cache (once; minutes)"
	local flags="-s -w" package minor=${version#*.}
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=${version%%.*} -X $package.gitMinor=${minor%%.*}"
		flags+=" -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
	done
	local out=$cache.build
	mkdir -p "$out" "$cache"
	(cd "$here/controlplane" && CGO_ENABLED=0 go build -v -trimpath -ldflags "$flags" -o "$out/" \
		k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl go.etcd.io/etcd/server/v3 2>"$out/log" &
		pid=$!
		tail -n +1 -f --pid=$pid "$out/log" | progress
		wait $pid) || { tail -n 20 "$out/log" >&2; say "the build failed; its log is $out/log"; return 1; }
	[[ -e $out/v3 ]] && mv "$out/v3" "$out/etcd"
	[[ -e $out/server ]] && mv "$out/server" "$out/etcd"
	for binary in "${binaries[@]}"; do mv "$out/$binary" "$cache/$binary"; done
	rm -rf "$out"
	say "built in ${SECONDS} s"
}

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
	complete "$KUBEBUILDER_ASSETS" || [[ -x $KUBEBUILDER_ASSETS/kube-apiserver && -x $KUBEBUILDER_ASSETS/etcd ]] ||
		{ say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no kube-apiserver and etcd"; exit 1; }
	echo "$KUBEBUILDER_ASSETS"
	exit
fi
mkdir -p "$(dirname "$cache")"
exec 9>"$cache.lock"
flock 9 # two make runs side by side build once
complete "$cache" || download || build
echo "$cache"
