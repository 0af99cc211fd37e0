"""The contract between the planes: the configuration that a proxy accepts.

Written by the control plane (`signalbox_operator.compiler`), read by the data plane
(`signalbox_proxy`). It knows nothing of Kubernetes, of files or of the network, and imports
nothing else of Signalbox: names are resolved, groups expanded, prices multiplied out before a
snapshot exists, so that a proxy decides by look-up alone.
"""
