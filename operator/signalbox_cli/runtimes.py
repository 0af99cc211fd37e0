"""Runtimes to explain by: of manifests, or of the snapshot that a Signalbox has released."""

from pathlib import Path

from signalbox_cli.failure import Failure
from signalbox_cli.manifest_folder import compiled, read
from signalbox_cli.releases import ClusterReleases
from signalbox_cli.state import FLEET, StateFolder
from signalbox_operator.head import HeadError
from signalbox_operator.head_file import FileHeadStore
from signalbox_proxy.runtime import Runtime
from signalbox_snapshot import codec, envelope, signing_keys
from signalbox_snapshot.envelope import EnvelopeError
from signalbox_snapshot.faults import SnapshotError


def compiled_runtime(manifests: Path, platform_namespace: str) -> Runtime:
    """The runtime of manifests, with what of them can be in force."""
    if not manifests.exists():
        raise Failure(f"there is no {manifests}; name a folder or file of manifests")
    loaded = read(manifests)
    whole = compiled(loaded, loaded.resources, platform_namespace=platform_namespace)
    payload = codec.encode(whole.compilation.snapshot)
    return Runtime.build(codec.decode(payload), version=codec.version(payload), generation=0)


def cluster_runtime(releases: ClusterReleases) -> Runtime:
    """The runtime of what the cluster's operator has released, as the API server tells it; proxies
    would look at the signature, too."""
    head = releases.head()
    try:
        snapshot = codec.decode(head.envelope.snapshot.encode())
    except SnapshotError as error:
        raise Failure(f"cannot read generation {head.generation}: {error}") from None
    return Runtime.build(snapshot, version=head.version, generation=head.generation)


def released_runtime(state: Path) -> Runtime:
    """The runtime of the snapshot that was last released on a state folder."""
    folder = StateFolder.at(state)
    try:
        head = FileHeadStore(folder.head).read_file()
        if head is None:
            raise Failure(
                f"nothing was released on {folder.root}; name a folder of manifests, or --state"
            )
        trusted = envelope.trust(signing_keys.load_public(folder.verification_key.read_bytes()))
        sealed, snapshot = envelope.open_sealed(head.sealed, trusted, FLEET)
    except (EnvelopeError, HeadError, OSError, ValueError) as error:
        raise Failure(f"cannot read {folder.head}: {error}") from None
    return Runtime.build(snapshot, version=sealed.version, generation=sealed.generation)
