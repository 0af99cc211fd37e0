"""Carries a conversation between two wire formats: a client's and a provider's.

Stands between `surfaces` (what clients speak) and `upstream` (what providers are sent). Traffic
whose two sides speak the same format never comes here. Everything in this package is pure; what
a provider's format cannot say is refused before anything is sent, never dropped in silence:
docs/translation.md.
"""
