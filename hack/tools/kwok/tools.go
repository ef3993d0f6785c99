//go:build tools

// Package tools pins the binary that hack/cluster builds from this module.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
