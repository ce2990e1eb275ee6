"""Answers as bytes: results and errors, JSON or XML.

Every error has the one form that the vendor's clients parse, whatever went wrong and wherever:
`{"RequestId", "HostId", "Code", "Message"}` with a status of 400 or above.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudassist_tasks.contract.errors import wire_error_of
from cloudassist_tasks.contract.operation import Operation, Result
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.contract.xml import xml_document
from cloudassist_tasks.domain.errors import CloudAssistError

__all__ = ["Answer", "error_answer", "json_answer", "result_answer"]

JSON_TYPE = "application/json;charset=utf-8"
XML_TYPE = "text/xml;charset=utf-8"

RETRY_AFTER_S = 1
"""When a sender may try again where our side could not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    code: str = ""
    """Of an error."""


def result_answer(operation: type[Operation[Any]], result: Result, *, as_xml: bool) -> Answer:
    """What an operation has answered."""
    wired = to_wire(result)
    if as_xml:
        body, type_ = xml_document(f"{operation.action()}Response", wired), XML_TYPE
    else:
        body, type_ = _json(wired), JSON_TYPE
    return Answer(
        status=200, body=body, headers={"content-type": type_, "x-acs-request-id": result.request_id}
    )


def json_answer(content: Mapping[str, object], *, status: int = 200, request_id: str = "") -> Answer:
    """Something that is no operation's result."""
    headers = {"content-type": JSON_TYPE} | ({"x-acs-request-id": request_id} if request_id else {})
    return Answer(status=status, body=_json(content), headers=headers)


def error_answer(
    error: BaseException,
    *,
    request_id: str,
    host: str,
    operation: type[Operation[Any]] | None = None,
    as_xml: bool = False,
) -> Answer:
    """What went wrong. Of a fault that nobody foresaw only the RequestId is told, by which it is found in the
    log."""
    code, status = wire_error_of(error, operation)
    known = isinstance(error, CloudAssistError)
    content = {
        "RequestId": request_id,
        "HostId": host,
        "Code": code,
        "Message": str(error) if known else "a fault of ours; the log tells more under this RequestId",
    }
    headers = {"content-type": XML_TYPE if as_xml else JSON_TYPE, "x-acs-request-id": request_id}
    if isinstance(error, CloudAssistError) and error.retry_helps:
        headers |= {"retry-after": str(RETRY_AFTER_S), "x-acs-retry-after": str(RETRY_AFTER_S * 1_000)}
    body = xml_document("Error", content) if as_xml else _json(content)
    return Answer(status=status, body=body, headers=headers, code=code)


def _json(content: Mapping[str, object]) -> bytes:
    """A lone surrogate (of bytes that were not UTF-8) becomes its escape, which JSON allows."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
