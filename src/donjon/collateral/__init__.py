"""What Intel states about platforms: TCB infos, identities of quoting enclaves, revocation lists, and the chains that sign them.

Law: signatures are checked over the bytes as received, before those are read for anything else; `TrustedCollateral` is made of
checked signatures alone. No moment comes in: until when a document holds is a fact that it carries.
"""
