"""Implements the verbs of `gazecast`: one module or package per verb, `main` for the command line."""
