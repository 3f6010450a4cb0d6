"""Intel SGX for any Kubernetes cluster.

The packages below this one are the rooms of the house. Everything below `donjon.adapters` is a function from values to values.
"""

__version__ = "0.1.0"
