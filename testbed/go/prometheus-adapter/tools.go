//go:build tools

// Package tools names the program that is built from here, so that its modules stay locked.
package tools

import _ "sigs.k8s.io/prometheus-adapter/cmd/adapter"
