"""The words of the command line: what can be said, option by option, and what each of them means.

These modules import nothing heavy, neither torch nor what stands on it: help, completion, the version and refused
options are at hand at once. A command's function says its options and calls the function that does it, of the module
of the same name in `benchmarks.commands`, which is imported then and not before. There is no other way in, and
tests/benchmarks/commands/test_startup.py looks at what a fresh interpreter has loaded.
"""
