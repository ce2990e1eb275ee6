"""A run and its output, of the hashes that the scripts write."""

from cloudassist_tasks.domain.ids import RunKey, WorkerId
from cloudassist_tasks.domain.invocation import (
    Run,
)
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.store.hashes import Hash, int_in, text_in


def run_from(key: RunKey, hash_: Hash) -> Run:
    """Of a run's hash; an empty one is a run that nobody has claimed."""
    if not hash_:
        return Run(key=key)
    exit_code = hash_.get(b"exit_code")
    worker = text_in(hash_, b"worker")
    return Run(
        key=key,
        status=RunStatus(text_in(hash_, b"status")),
        phase=Phase(text_in(hash_, b"phase")),
        stop_requested=hash_.get(b"stop") == b"1",
        worker=WorkerId(worker) if worker else None,
        epoch=int_in(hash_, b"epoch"),
        boot_id=text_in(hash_, b"boot_id"),
        launch_ms=int_in(hash_, b"launch_ms"),
        start_ms=int_in(hash_, b"start_ms"),
        finish_ms=int_in(hash_, b"finish_ms"),
        stop_ms=int_in(hash_, b"stop_ms"),
        update_ms=int_in(hash_, b"update_ms"),
        exit_code=int(exit_code) if exit_code else None,
        error_code=text_in(hash_, b"error_code"),
        error_info=text_in(hash_, b"error_info"),
        output_bytes=int_in(hash_, b"output_bytes"),
        dropped=int_in(hash_, b"dropped"),
        deliveries=int_in(hash_, b"deliveries"),
        late_result=text_in(hash_, b"late_result"),
    )


def output_from(hash_: Hash) -> BoundedOutput:
    """Of an output hash; an empty one is no output so far."""
    return BoundedOutput(
        head=hash_.get(b"head", b""), tail=hash_.get(b"tail", b""), total=int_in(hash_, b"total")
    )
