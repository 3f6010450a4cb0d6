"""`donjon epc`: who holds how much enclave memory, as the nodes' meters measure it."""
