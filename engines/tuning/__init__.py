"""Tunes SAM's mask decoder on embeddings that are computed already; needs torch."""
