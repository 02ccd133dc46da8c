//go:build tools

// Package tools pins Pulumi's Python language host: newer sdk modules no longer contain it.
package tools

import (
	_ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
)
