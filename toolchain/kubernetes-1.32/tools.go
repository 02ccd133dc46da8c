//go:build tools

// Package tools pins an older kube-apiserver that the CRDs are shown to in `make prove ISSUE=4`.
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
