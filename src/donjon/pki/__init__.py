"""Certificates, of two worlds that share nothing: Intel's hierarchy (`intel`, `crl`, `pck`, with `pem` and `p256` below), and
the serving certificate of our webhook (`serving`, `rotation`).

Law: keys, serial numbers and the moment are arguments; nothing is made here of itself. A certificate that exists as a value was
checked: its key fits it, its names are those asked for, and its authority signed it.
"""
