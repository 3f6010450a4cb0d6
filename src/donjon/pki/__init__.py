"""Certificates: the serving certificate of our webhook, and when it is to be renewed.

Law: keys, serial numbers and the moment are arguments; nothing is made here of itself. A certificate that exists as a value was
checked: its key fits it, its names are those asked for, and its authority signed it.
"""
