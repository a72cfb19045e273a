"""Implements `gazecast learn`: learns the choice of masks from looks that people answered."""
