"""The `signalbox` command: what people type on one machine, with no cluster.

Stands on top of all other packages. `up` runs the whole system as child processes and offers the
objects with their status on a Unix socket; the other commands ask that socket, read the ledger, or
work on manifests alone. Nothing here decides anything about a request: that is the proxy's.
"""
