"""Learns from looks that people kept, dropped or corrected: data, training, the gate, adapters and the report."""
