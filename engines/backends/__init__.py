"""Holds one module for each inference library, imported only when it is chosen."""
