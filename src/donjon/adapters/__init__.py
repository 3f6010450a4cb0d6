"""The doors to the outside, one package an outside system.

Law: adapters do not know one another, hold no rule of ours, and let out only the errors of `donjon.errors`.
"""
