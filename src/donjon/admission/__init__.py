"""A pod to a verdict: which pods are wired to their enclave device, which are refused, and with what words.

Law: what is refused or warned about, and in which words, stands once, as data, in `rules`; whoever decides decides from that
table. `policies` and `agent` print it as the API server's own policies, so that wiring and refusals run inside the API server
and cannot be down.
"""
