"""Parameters of query and form."""

import pytest

from cloudassist_tasks.api.receiving import FORM_TYPE, form_of, parameters_of
from cloudassist_tasks.contract.signing import Received
from cloudassist_tasks.domain.errors import Kind, Refused

FORM = {"content-type": f"{FORM_TYPE}; charset=UTF-8"}


def test_query_and_form_are_one() -> None:
    signed = {"authorization": "…", **FORM}

    v3 = Received(method="POST", query=[("a", "1")], headers=signed, body=b"b=%E5%90%8D+x&c=")
    v1 = Received(method="POST", query=[("a", "1")], form=[("b", "名 x"), ("c", "")], headers=FORM)

    assert parameters_of(v3) == parameters_of(v1) == {"a": "1", "b": "名 x", "c": ""}


@pytest.mark.parametrize("body", [b"a=2", b"b=1&b=1"])
def test_a_name_that_comes_twice_is_refused(body: bytes) -> None:
    request = Received(method="POST", query=[("a", "1")], headers={"authorization": "…", **FORM}, body=body)

    with pytest.raises(Refused, match="twice") as refused:
        parameters_of(request)

    assert refused.value.kind is Kind.BAD_VALUE


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_is_no_form_is_never_passed_over(content_type: str) -> None:
    with pytest.raises(Refused) as refused:
        form_of({"content-type": content_type}, b"InstanceId.1=i-1")

    assert refused.value.kind is Kind.MALFORMED_REQUEST
    assert form_of({"content-type": content_type}, b"") == ()
