"""The revisions, oldest first, one module each. What is released is never edited."""
