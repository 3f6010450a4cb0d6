"""Container images as values: how they are named, what a manifest says, and which files of which layer remain in the end.

Law: what a registry or an archive says is read with bounds, and nothing of it is believed that its digest does not bear out.
"""
