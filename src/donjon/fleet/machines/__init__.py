"""Machines with SGX that one can rent or buy: what is known of each, and which of them a demand takes.

Law: every fact has a source and a date, and where sources differ all of them are shown. The tables `facts.csv`, `prices.csv` and
`sources.csv` lie beside this and are read by whoever calls.
"""
