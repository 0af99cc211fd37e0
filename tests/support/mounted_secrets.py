"""A Secret as kubelet mounts it: files that are replaced all at once, by one symbolic link."""

from pathlib import Path


class MountedSecret:
    """A folder as kubelet keeps one: files are links into a version that is swapped as a whole."""

    def __init__(self, folder: Path, content: dict[str, bytes]) -> None:
        self.folder = folder
        self._version = 0
        self._content = content
        folder.mkdir()
        for name in content:
            (folder / name).symlink_to(Path("..data") / name)
        self.replace({})

    def replace(self, changes: dict[str, bytes]) -> None:
        self._content = self._content | changes
        self._version += 1
        version = self.folder / f"..{self._version}"
        version.mkdir()
        for name, value in self._content.items():
            (version / name).write_bytes(value)
        beside = self.folder / "..data_tmp"
        beside.symlink_to(version.name)
        beside.replace(self.folder / "..data")

    def path(self, name: str) -> Path:
        return self.folder / name
