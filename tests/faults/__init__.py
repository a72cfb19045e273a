"""Injects faults into whole runs, over real sockets and processes, and measures what happens.

device           an eye tracker whose silence, restarts and clock a fault decides
tcp_proxy        a network between them that stalls, drops, cuts, doubles and swaps bytes
observed_run     a run as a process, and everything that it published, with the times of arrival
engine_faults    a run whose engine throws, hangs or answers NaN when asked to
fault_table      the faults, and what each leaves behind

`python -m tests.faults [NAME ...]` prints the table of `docs/reliability.md`.
"""
