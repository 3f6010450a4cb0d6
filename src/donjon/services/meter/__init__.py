"""The meter of a node: who holds how much EPC, read from the kernel every some seconds and answered over HTTP."""
