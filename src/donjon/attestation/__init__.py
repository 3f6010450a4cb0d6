"""A quote's way from bytes to what is accepted, one module a stage.

Law: *well-formed* (`quote`), *true* (`verify`) and *acceptable* (`acceptance`) are three questions with three types, and each
type is made only by the function of its stage. The moment, the collateral and the root are arguments; nothing is looked up here.
"""
