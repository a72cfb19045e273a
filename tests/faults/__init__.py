"""Injects faults into whole runs, over real sockets and processes, and measures what happens.

device           an eye tracker whose silence, restarts and clock a fault decides
tcp_proxy        a network between them that stalls, drops, cuts, doubles and swaps bytes
observed_run     a run as a process, and everything that it published, with the times of arrival
engine_faults    a run whose engine throws, hangs or answers NaN when asked to
fault_stage      all of these together
fault_table      the faults
injection        injects one and reports what it did
process_faults   ends runs by signals in every state

`python -m tests.faults [NAME ...]` prints the table of `docs/reliability.md`.
"""
