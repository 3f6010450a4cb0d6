"""An existing image, brought into an enclave: what stops it, its manifest for Gramine, and the image that comes of it.

Law: an image's files and settings in, values out. What an image says of itself is believed only where its files bear it out.
"""
