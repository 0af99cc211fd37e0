"""The control plane: objects in, a snapshot out, released to the fleet, reported as status.

`compiler` is pure and does all deciding; `publish` is the only part that writes a file or opens
a connection; `status` turns what is known into what people read. Where objects come from and
where status goes is the business of the caller: `signalbox up` on one machine, the operator in a
cluster.
"""
