"""Measures engines and the whole path on an NVIDIA GPU: `python -m benchmarks.gpu`."""
