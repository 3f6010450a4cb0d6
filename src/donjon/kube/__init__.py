"""The Kubernetes notions we speak of: names, quantities, and what enclave memory a pod asks for.

Law: every group, label, annotation, resource and foreign name stands once, in `names`; whoever needs one imports it from there.
"""
