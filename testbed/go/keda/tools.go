//go:build tools

// Package tools names the module whose programs are built here (testbed/keda.py), so that it stays locked.
package tools

import _ "github.com/kedacore/keda/v2/version"
