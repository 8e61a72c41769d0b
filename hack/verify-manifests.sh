#!/usr/bin/env bash
# Builds every kustomization, so that none is broken unseen.
set -euo pipefail
cd "$(dirname "$0")/.."

for file in config/*/kustomization.yaml; do
	directory=$(dirname "$file")
	go tool -modfile=hack/tools/go.mod kustomize build "$directory" >/dev/null || {
		echo "verify: kustomize build $directory failed" >&2
		exit 1
	}
done
