"""Machines in number: where pods have room for their enclaves.

Law: decisions only. What the cluster said comes in as JSON; nothing here asks the cluster.
"""
