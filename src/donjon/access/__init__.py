"""Who may do what: roles, callers as they are proved, grants, and the tables of settings that say them.

Law: nothing here proves anything; whoever makes a `ProvenCaller` has looked at a token or a certificate.
"""
