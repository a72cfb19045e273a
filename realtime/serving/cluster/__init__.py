"""Places sessions on hosts of a cluster, and moves them when a host is drained or dies."""
