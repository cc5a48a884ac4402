"""Fuzzing guided by coverage: what a hostile world sends to each door of the plugin.

`targets` holds a function for each door, with the promise asserted in it; `corpus` the inputs that
once reached something new, which `make test` plays again without a fuzzer.
"""
