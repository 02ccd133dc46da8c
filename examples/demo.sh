#!/usr/bin/env bash
# The quickstart on a local cluster, from nothing to streamed tokens. Run it by `make demo`; it may be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
namespace=vllm-v1-disagg-router
kubectl="kubectl --kubeconfig ${GROVE_HOME:-$PWD/.grove}/clusters/local/kubeconfig --namespace $namespace"

grove tools
serves=yes
grove tools dynamo || serves=
grove up
grove pulumi --install-official-timeout 20 -- up --yes --skip-preview --refresh
$kubectl wait --for=jsonpath='{.status.state}'=successful dynamographdeployment/dynamo-grove --timeout=120s
$kubectl wait --for=condition=Ready pod --all --timeout=120s

echo && $kubectl get pods -o wide
echo && grove tree --namespace "$namespace"
if [ -n "$serves" ]; then
  echo && echo "A question to the graph, through kubectl port-forward svc/dynamo-grove-frontend:"
  examples/ask.py --kubeconfig "${GROVE_HOME:-$PWD/.grove}/clusters/local/kubeconfig" --namespace "$namespace"
else
  echo && echo "Dynamo's own processes can't be installed here (see above): the workers are pretended, and nothing answers."
fi
cat <<END

Go on with
  $kubectl get podcliques,podgangs,services
  $kubectl logs -l nvidia.com/dynamo-component=Frontend
  $kubectl port-forward svc/dynamo-grove-frontend 8000:8000
  .venv/bin/grove pulumi -- preview
  .venv/bin/grove down
END
