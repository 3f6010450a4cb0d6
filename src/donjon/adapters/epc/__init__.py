"""Enclave memory in use, as the kernel tells it: by BPF iterators over its own counters, else by the areas that processes map."""
