"""Serves many wearers: by one engine, or by a cluster of hosts."""
