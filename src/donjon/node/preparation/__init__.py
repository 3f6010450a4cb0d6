"""A node of one's own made ready for enclaves: what is to be done on it, made from what `donjon doctor` says of it.

Law: a step that a program can do is the same step in a script and in a role of Ansible, and says what it is for. What only a
person can do, such as the firmware's settings, is said to a person and never called done. Nothing that a file of facts holds is
printed.
"""
