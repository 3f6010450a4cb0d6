//go:build tools

// Package tools names the programs of others that the benchmarks measure Donjon against.
package tools

import (
	_ "github.com/intel/intel-device-plugins-for-kubernetes/cmd/sgx_admissionwebhook"
	_ "github.com/intel/intel-device-plugins-for-kubernetes/cmd/sgx_plugin"
)
