"""Who a worker is, and what the server keeps of it."""

from cloudassist_tasks.domain.ids import WorkerId
from cloudassist_tasks.ports.workers import WorkerInfo
from cloudassist_tasks.store.hashes import Hash, int_in, text_in


def worker_fields(info: WorkerInfo) -> list[str | int]:
    """Names and values of who a worker is."""
    return ["host", info.host, "pid", info.pid, "kind", info.kind, "started_ms", info.started_ms]


def worker_from(id_: WorkerId, hash_: Hash, seen_ms: int, *, claims: int) -> WorkerInfo:
    """Of a worker's hash; one that claimed before it registered has none."""
    return WorkerInfo(
        id=id_,
        host=text_in(hash_, b"host"),
        pid=int_in(hash_, b"pid"),
        kind=text_in(hash_, b"kind"),
        started_ms=int_in(hash_, b"started_ms"),
        seen_ms=seen_ms,
        claims=claims,
    )
