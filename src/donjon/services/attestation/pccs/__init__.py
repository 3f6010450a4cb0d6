"""Collateral as Intel's PCCS serves it: routes, the cache that has proved what it serves, and what it remembers of platforms."""
