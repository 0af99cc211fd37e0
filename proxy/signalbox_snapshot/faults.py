"""What is raised for a document that is no snapshot."""


class SnapshotError(ValueError):
    """Something that is not a snapshot. `path` is a JSON path, `reason` the fault there."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
