"""Names of runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.ids import INSTANCE_ID, InstanceId, InvokeId, RunKey


@given(
    st.from_regex(r"t-[a-z0-9]{1,12}", fullmatch=True),
    st.from_regex(INSTANCE_ID, fullmatch=True),
    st.integers(0, 10_000),
)
def test_a_run_id_is_read_back_whatever_the_instance_is_called(invoke: str, instance: str, n: int) -> None:
    key = RunKey(InvokeId(invoke), InstanceId(instance), n)

    assert key == RunKey.parse(key.run_id)


def test_a_run_id_names_invocation_instance_and_round() -> None:
    assert RunKey(InvokeId("t-1"), InstanceId("web.eu")).run_id == "t-1.web.eu.0"


@pytest.mark.parametrize("text", ["", "t-1", "t-1.i-1", "t-1.i-1.x", ".i-1.0", "t-1..0", "t-1.i-1.-1"])
def test_what_is_no_run_id_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a run id"):
        RunKey.parse(text)
