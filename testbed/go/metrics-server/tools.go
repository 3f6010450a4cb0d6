//go:build tools

// Package tools names metrics-server, which the tests of autoscaling run beside Donjon's.
package tools

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"
