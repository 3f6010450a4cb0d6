"""What every long-running program shares: its settings, its life, who calls and how often.

Law: nothing here knows one program; what a program says of itself is an argument.
"""
