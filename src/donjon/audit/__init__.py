"""What was decided and changed, as records that nobody can alter unseen: each is bound to the one before it by its hash.

Law: values alone. Who keeps them, when, and whose key signs a chain's head, is for adapters.
"""
