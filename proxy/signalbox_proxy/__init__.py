"""The data plane: one process that serves model calls by the snapshot it holds.

The request path is `pipeline.serve`; everything else is a step of it, a surface that speaks a
wire format, or the rim (HTTP server, control port, upstream client, process). It knows nothing
of Kubernetes: configuration comes as a `signalbox_snapshot`, money is asked of
`signalbox_ledger`.
"""
