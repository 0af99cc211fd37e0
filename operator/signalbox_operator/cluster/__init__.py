"""The rim of the operator: everything that talks to an API server.

Rules live beside this package and are pure; what is here lists, watches, reads and writes.
"""
