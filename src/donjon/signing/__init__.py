"""Who signs what we say, and what others have signed: JWS, one `Signer`, the ring of its keys, and signers' certificates.

Law: a key decides its algorithm, no header does; nothing here knows what is signed.
"""
