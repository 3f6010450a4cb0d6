"""The Kubernetes metrics APIs as values: who asks what, and what is answered of the EPC that pods hold.

Law: what is not known is left out, so that an autoscaler holds; nothing here makes a zero of it.
"""
