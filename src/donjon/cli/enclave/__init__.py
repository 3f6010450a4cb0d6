"""`donjon enclave`, a module a command or two that print alike."""
