#!/usr/bin/env bash
# Uninstalls in the one order that works: the finalizer of a QueueScaler needs the operator.
set -euo pipefail

if kubectl get crd queuescalers.queuescaler.dev >/dev/null 2>&1; then
	kubectl delete queuescalers.queuescaler.dev --all --all-namespaces --timeout=5m
fi
kubectl delete -k "$(dirname "$0")/../config/default" --ignore-not-found
