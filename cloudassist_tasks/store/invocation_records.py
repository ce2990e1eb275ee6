"""An invocation, of the hashes that change while it is open."""

from cloudassist_tasks.domain.invocation import Firing, Invocation, InvocationSpec, Repetition, Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.store.hashes import Hash, int_in, text_in
from cloudassist_tasks.store.spec_records import with_tags


def _firing(header: Hash) -> Firing | None:
    if b"why" not in header:
        return None
    return Firing(
        why=Why(text_in(header, b"why")),
        at_ms=int_in(header, b"at_ms"),
        opened_ms=int_in(header, b"opened_ms"),
        skipped=int_in(header, b"skipped"),
    )


def _repetition(header: Hash) -> Repetition | None:
    if b"round" not in header:
        return None
    return Repetition(
        rounds=int_in(header, b"round"),
        tick_ms=int_in(header, b"tick_ms"),
        settled_ms=int_in(header, b"settled_ms"),
        paused=b"paused" in header,
        resumed_ms=int_in(header, b"resumed_ms"),
        ended=text_in(header, b"ended"),
        missed=int_in(header, b"missed"),
        version=int_in(header, b"spec"),
    )


def invocation_from(header: Hash, tally: Hash, spec: InvocationSpec, *, round_: int = 0) -> Invocation:
    """Of the two hashes that change, and the spec, which does not but for the tags."""
    return Invocation(
        spec=with_tags(spec, header.get(b"tags")),
        round=round_,
        firing=_firing(header),
        repetition=_repetition(header),
        tally={status: int(n) for status in RunStatus if (n := tally.get(status.encode(), b"0")) != b"0"},
        total=int_in(header, b"total"),
        published=int_in(header, b"published"),
        batches=int_in(header, b"batches"),
        stop_ms=int_in(header, b"stop_ms"),
        halt_ms=int_in(header, b"halt_ms"),
        finish_ms=int_in(header, b"finish_ms"),
    )
