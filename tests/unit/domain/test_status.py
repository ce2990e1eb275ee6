"""The table of legal moves, and the names in the classic vocabulary."""

import pytest

from cloudassist_tasks.domain.status import (
    FINAL,
    LEGAL_MOVES,
    OPEN,
    LegacyStatus,
    RunStatus,
    legacy_of,
    origins,
)

EVERY_STATUS = list(RunStatus)


def reachable_from(start: RunStatus) -> set[RunStatus]:
    seen: set[RunStatus] = set()
    waiting = [start]
    while waiting:
        for following in LEGAL_MOVES[waiting.pop()] - seen:
            seen.add(following)
            waiting.append(following)
    return seen


def test_there_are_twelve_states_each_open_or_final() -> None:
    assert len(EVERY_STATUS) == 12
    assert set(EVERY_STATUS) == set(LEGAL_MOVES)
    assert set(EVERY_STATUS) == OPEN | FINAL
    assert not OPEN & FINAL


@pytest.mark.parametrize("status", sorted(OPEN))
def test_every_open_state_moves_to_a_final_one_in_one_step(status: RunStatus) -> None:
    assert LEGAL_MOVES[status] & FINAL


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_final_state_never_moves(status: RunStatus) -> None:
    assert not LEGAL_MOVES[status]
    assert not any(status in origins(to) for to in EVERY_STATUS)


def test_every_state_is_reached_from_pending() -> None:
    assert set(EVERY_STATUS) - {RunStatus.PENDING} <= reachable_from(RunStatus.PENDING)


def test_no_state_moves_to_itself() -> None:
    assert not any(status in LEGAL_MOVES[status] for status in EVERY_STATUS)


@pytest.mark.parametrize("to", EVERY_STATUS)
def test_origins_is_the_inverse_of_the_table_of_moves(to: RunStatus) -> None:
    assert {status for status in EVERY_STATUS if to in LEGAL_MOVES[status]} == origins(to)


def test_only_a_stop_leads_to_stopped_states() -> None:
    assert RunStatus.TERMINATED not in LEGAL_MOVES[RunStatus.RUNNING]
    assert RunStatus.TERMINATED in LEGAL_MOVES[RunStatus.STOPPING]
    assert {RunStatus.PENDING, RunStatus.SCHEDULED, RunStatus.STOPPING} == origins(RunStatus.CANCELLED)


@pytest.mark.parametrize(
    ("status", "legacy"),
    [
        (RunStatus.PENDING, LegacyStatus.RUNNING),
        (RunStatus.SCHEDULED, LegacyStatus.RUNNING),
        (RunStatus.RUNNING, LegacyStatus.RUNNING),
        (RunStatus.STOPPING, LegacyStatus.STOPPING),
        (RunStatus.SUCCESS, LegacyStatus.FINISHED),
        (RunStatus.FAILED, LegacyStatus.FINISHED),
        (RunStatus.TIMEOUT, LegacyStatus.FAILED),
        (RunStatus.ERROR, LegacyStatus.FAILED),
        (RunStatus.INVALID, LegacyStatus.FAILED),
        (RunStatus.ABORTED, LegacyStatus.FAILED),
        (RunStatus.CANCELLED, LegacyStatus.STOPPED),
        (RunStatus.TERMINATED, LegacyStatus.STOPPED),
    ],
)
def test_each_state_has_its_classic_name(status: RunStatus, legacy: LegacyStatus) -> None:
    assert legacy is legacy_of(status)
