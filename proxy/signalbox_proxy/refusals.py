"""Every way in which Signalbox says no: the closed list of codes, with status and retry rule.

A `Refusal` is raised by any step of the request path and turned into the client's error shape
in one place (`surfaces.errors`). The order of the steps in docs/architecture.md decides which
one a request gets when candidates lose for different reasons.
"""

from dataclasses import dataclass
from typing import Literal

Code = Literal[
    "invalid_json",
    "invalid_request",
    "too_large",
    "unsupported_encoding",
    "unauthorized",
    "unclassified",
    "sensitivity_not_permitted",
    "unknown_data_asset",
    "residency_conflict",
    "tool_not_permitted",
    "storage_not_permitted",
    "previous_response_not_found",
    "quote_exceeds_policy",
    "no_price",
    "no_bound",
    "model_not_found",
    "model_not_permitted",
    "residency",
    "no_capable_lane",
    "quality_floor",
    "no_lane",
    "no_budget",
    "budget_exhausted",
    "budget_held",
    "too_many_subjects",
    "rate_limited",
    "store_unavailable",
    "not_ready",
    "snapshot_outdated",
    "idempotency_key_used",
    "idempotency_key_in_flight",
    "idempotency_key_reused",
    "surface_not_governed",
    "run_not_found",
    "provider_rejected",
    "provider_failed",
    "provider_timeout",
    "internal",
]

STATUS: dict[Code, int] = {
    "invalid_json": 400,
    "invalid_request": 400,
    "too_large": 413,
    "unsupported_encoding": 415,
    "unauthorized": 401,
    "unclassified": 403,
    "sensitivity_not_permitted": 403,
    "unknown_data_asset": 400,
    "residency_conflict": 422,
    "tool_not_permitted": 403,
    "storage_not_permitted": 403,
    "previous_response_not_found": 400,
    "quote_exceeds_policy": 402,
    "no_price": 422,
    "no_bound": 422,
    "model_not_found": 404,
    "model_not_permitted": 403,
    "residency": 403,
    "no_capable_lane": 422,
    "quality_floor": 422,
    "no_lane": 503,
    "no_budget": 402,
    "budget_exhausted": 402,
    "budget_held": 503,
    "too_many_subjects": 402,
    "rate_limited": 429,
    "store_unavailable": 503,
    "not_ready": 503,
    "snapshot_outdated": 503,
    "idempotency_key_used": 409,
    "idempotency_key_in_flight": 409,
    "idempotency_key_reused": 422,
    "surface_not_governed": 404,
    "run_not_found": 404,
    "provider_rejected": 400,
    "provider_failed": 502,
    "provider_timeout": 504,
    "internal": 500,
}
"""HTTP status by code. `provider_rejected` carries the provider's own 4xx instead."""

RETRYABLE: frozenset[Code] = frozenset(
    {
        "budget_held",
        "rate_limited",
        "store_unavailable",
        "not_ready",
        "snapshot_outdated",
        "no_lane",
        "provider_failed",
        "provider_timeout",
    }
)
"""Codes after which the same request may succeed; all others say `x-should-retry: false`."""

MAX_RETRY_AFTER_S = 60
"""Longest `Retry-After`: some SDKs sleep whatever it says. Beyond it a retry is not advised."""


@dataclass(eq=False)  # Python itself writes tracebacks and notes into exceptions: not frozen
class Refusal(Exception):  # noqa: N818  the field calls it a refusal
    """One no: who, what, how much and what to do, in `message`.

    `param` is the field of the request that is at fault, "" where none is. `retry_after_s` is
    rounded up by the renderer. `status` overrides the code's own (provider_rejected only).
    `is_final` says that repeating cannot help, whatever the code. `earlier_run` is the run that
    used the request's Idempotency-Key.
    """

    code: Code
    message: str
    param: str = ""
    retry_after_s: float | None = None
    status: int | None = None
    is_final: bool = False
    earlier_run: str = ""

    @property
    def http_status(self) -> int:
        """The status that the client sees."""
        return self.status if self.status is not None else STATUS[self.code]
