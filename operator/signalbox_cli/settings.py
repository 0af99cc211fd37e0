"""What `signalbox up` was asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from signalbox_cli.state import StateFolder


@dataclass(frozen=True, slots=True)
class UpSettings:
    """One `signalbox up`.

    `control_port` and `metrics_port` are those of the first proxy; each further one takes the
    next. `credentials` is the folder of provider keys, one file each. `dev_keys` are agents, as
    namespace/name, for which a key is made. `ledger_dsn` names the PostgreSQL database of the
    ledger; empty, it is a SQLite file in the state folder.
    """

    manifests: Path
    state: StateFolder
    simulate: bool
    proxies: int
    host: str
    port: int
    control_port: int
    metrics_port: int
    credentials: Path | None
    dev_keys: tuple[str, ...]
    platform_namespace: str
    ledger_dsn: str = field(default="", repr=False)

    @property
    def ledger(self) -> Path | str:
        """Where the ledger is: the path of a file, or a DSN."""
        return self.ledger_dsn or self.state.ledger

    @property
    def proxy_names(self) -> tuple[str, ...]:
        """Names of the proxies: proxy-0 and on."""
        return tuple(f"proxy-{number}" for number in range(self.proxies))

    @property
    def url(self) -> str:
        """Where traffic goes, as clients on this machine write it."""
        return self._on_this_machine(self.port)

    def control_url(self, number: int) -> str:
        """The control port of one proxy."""
        return self._on_this_machine(self.control_port + number)

    @property
    def metrics_url(self) -> str:
        """Metrics of the first proxy."""
        return f"{self._on_this_machine(self.metrics_port)}/metrics"

    def _on_this_machine(self, port: int) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def credentials_folder(self) -> Path:
        """Where proxies read provider keys."""
        return self.credentials or self.state.credentials
