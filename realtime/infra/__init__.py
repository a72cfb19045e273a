"""Provides clocks, channels between threads, metrics, error guards, interrupts and progress.

Knows no gaze and no masks.
"""
