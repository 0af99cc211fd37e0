"""The revisions, oldest first, one module each. What is released is never edited.

Each says whether it is `additive`: code of the revision before may go on beside newer code, on the
tables that this one makes. New tables, indexes and columns with a default are; a column that goes,
is renamed or gets another meaning, a narrower rule, and values that older code cannot read are not.
What is to go takes two releases: one that no longer needs it, and one that takes it away.
`ledger_state.oldest_writer` and the table of the revision stay as they are for good: older code
reads there that it is too old.
"""
