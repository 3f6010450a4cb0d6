"""How values are written down: JSON, lax and strict, base64url, stretches of time, and what a person may be shown.

Law: nothing here knows what a value means; whoever reads one says with which code it is refused.
"""
