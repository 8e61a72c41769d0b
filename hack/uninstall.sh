#!/usr/bin/env bash
# Uninstalls in the one order that works: the finalizer of a QueueScaler needs the operator.
set -euo pipefail

label=app.kubernetes.io/name=queuescaler
if [[ -n $(kubectl get crd queuescalers.queuescaler.dev --ignore-not-found -o name) ]]; then
	kubectl delete queuescalers.queuescaler.dev --all --all-namespaces --timeout=5m || {
		echo "uninstall: some QueueScalers are left; is the operator running? It has to release them" >&2
		exit 1
	}
fi
# Deletes the namespace of the operator, too, with all that is in it.
kubectl delete deployment --all-namespaces -l "$label" --ignore-not-found
kubectl delete -k "$(dirname "$0")/../config/default" --ignore-not-found
kubectl delete role,rolebinding --all-namespaces -l "$label" --ignore-not-found
kubectl delete clusterrole,clusterrolebinding -l "$label" --ignore-not-found
