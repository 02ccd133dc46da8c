//go:build tools

// Package tools pins KWOK, which plays fake nodes and pods.
package tools

import (
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
