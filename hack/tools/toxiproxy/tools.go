//go:build tools

// Package tools pins the binary that hack/cluster builds from this module.
package tools

import _ "github.com/Shopify/toxiproxy/v2/cmd/server"
