"""Coverage-guided fuzzing of every input of the plugin.

`targets` has a function for each input, which asserts what must hold; `corpus` has the inputs that
once reached new code, which `make test` replays without a fuzzer.
"""
