"""An enclave's identity, before it runs: find its SIGSTRUCT, check it, measure, size and sign it.

Law: bytes in, values out. Nothing of a file is believed that its signature or a measurement does not bear out.
"""
