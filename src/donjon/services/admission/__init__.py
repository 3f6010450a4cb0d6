"""The webhook: it wires pods where the API server cannot do so itself, and refuses nothing."""
