#!/usr/bin/env bash
# The quickstart on a local cluster, from nothing to running pods. Run it by `make demo`; it may be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
namespace=vllm-v1-disagg-router

grove up
grove pulumi -- stack select --create local
grove pulumi -- up --yes --skip-preview --stack local

kubeconfig=$(grove status -o json | python -c 'import json, sys; print(json.load(sys.stdin)["kubeconfig"])')
echo
kubectl --kubeconfig "$kubeconfig" --namespace "$namespace" get pods -o wide
echo
grove tree --namespace "$namespace"
cat <<END

Go on with
  kubectl --kubeconfig $kubeconfig --namespace $namespace get podcliques,podgangs,services
  .venv/bin/grove pulumi -- preview
  .venv/bin/grove down
END
