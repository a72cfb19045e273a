"""Assembles one run: opens inputs and engine, connects the pipeline with its outputs, and closes them again."""
