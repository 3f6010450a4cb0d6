"""Microsoft Azure Attestation's own notions: policy tokens and who may sign them, requests, answers, error codes, versions.

Law: a policy token is proved over the bytes received before its body is read, and the key, not the header, decides how. What an
instance holds (its mode, certificates and policies) is a value that comes in and goes out; nothing is kept here.
"""
