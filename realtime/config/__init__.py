"""Defines every setting of a run, and reads settings from TOML files and flags."""
