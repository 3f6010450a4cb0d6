"""Admission by an enclave's identity: a second component of the webhook's program, for pods that ask for SGX and no others.

It looks into images, keeps what it found, watches the policies, and says what becomes of a pod.
"""
