"""Machines in number: where pods have room for their enclaves, and why a pod does not run.

Law: decisions only. What the cluster said comes in as JSON, what to tell a person goes out; nothing here asks the cluster.
"""
