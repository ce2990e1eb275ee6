"""The parser of the helper's answers: right however the bytes are cut, and bounded whatever a host sends."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.transports.remote.frames import Frame, FrameReader, Garbled
from cloudassist_tasks.transports.remote.payload import encode
from tests.ports.transport.ways import payload

NONCE = "0123456789abcdef"
MARK = f"CA1 {NONCE} ".encode()

keys = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda key: key not in ("out", "more"))
frames = st.tuples(st.dictionaries(keys, st.text(max_size=30), max_size=5), st.binary(max_size=300))
noises = st.binary(max_size=400).filter(lambda noise: b"CA1" not in noise)


def written(values: dict[str, str], data: bytes) -> bytes:
    words = "".join(f"{key}={quote(value, safe='')} " for key, value in values.items())
    return MARK + words.encode() + f"out={len(data)}\n".encode() + data


@given(st.lists(frames, min_size=1, max_size=5), noises, st.lists(st.integers(1, 200), max_size=30))
def test_frames_come_out_as_they_went_in_however_they_were_cut(
    sent: list[tuple[dict[str, str], bytes]], noise: bytes, cuts: list[int]
) -> None:
    stream = noise + b"".join(written(values, data) for values, data in sent)
    reader = FrameReader(NONCE)

    received: list[Frame] = []
    for size in cuts:
        received += reader.feed(stream[:size])
        stream = stream[size:]
    received += reader.feed(stream)

    assert [frame.data for frame in received] == [data for _, data in sent]
    assert [{key: value for key, value in frame.values.items() if key != "out"} for frame in received] == [
        values for values, _ in sent
    ]
    assert len(reader.noise) <= 200


@given(st.binary(max_size=2000))
def test_anything_at_all_is_noise_or_garbled_and_never_another_error(data: bytes) -> None:
    for start in (b"", MARK, MARK + b"out=3\nabc"):
        reader = FrameReader(NONCE)
        try:
            reader.feed(start + data)
        except Garbled:
            continue


@pytest.mark.parametrize(
    "stream",
    [
        MARK + b"x" * 5000,
        MARK + b"out=999999999999\n",
        MARK + b"out=-1\n",
        MARK + b"out=\xc2\xb2\n",
        MARK + b"out=1e3\n",
        MARK + b"state=done\n",
        MARK + b"state out=0\n",
        MARK + b"out=0\nCA1 another out=0\n",
        MARK + b"out=3\nabcd" + MARK,
        b"spam " * 20_000,
    ],
)
def test_what_breaks_a_bound_is_garbled(stream: bytes) -> None:
    with pytest.raises(Garbled):
        FrameReader(NONCE).feed(stream)


def test_an_answer_to_somebody_else_is_noise() -> None:
    reader = FrameReader(NONCE)

    assert reader.feed(b"CA1 feedfeed state=done out=0\n") == []
    assert reader.feed(written({"state": "absent"}, b"")) != []
    assert "feedfeed" in reader.noise


@pytest.mark.parametrize("value", ["", "x", "12x", "1" * 16, "-1"])
def test_a_number_that_is_none_is_garbled(value: str) -> None:
    with pytest.raises(Garbled, match="total="):
        Frame({"total": value}).number("total")


@given(st.binary(max_size=6000))
def test_a_payload_declares_exactly_what_it_sends(script: bytes) -> None:
    sent = encode(payload(script), user="")

    header, _, body = sent.partition(b"--\n")
    declared = dict(line.split(b"=", 1) for line in header.splitlines())
    length = int(declared[b"len"])
    assert length == len(script)
    assert body[:length] == script
    if b"lines" in declared:
        assert body.count(b"\n") == int(declared[b"lines"])
        assert body.endswith(b"\n")
    else:
        assert body == script


@given(st.text(max_size=40), st.text(max_size=40))
def test_user_directory_and_launcher_cannot_forge_a_header_line(text: str, other: str) -> None:
    launcher = Secret(f"{text}{{{{ACS::ScriptFileName}}}}{other}")
    sent = encode(payload("true", cwd=text, launcher=launcher), user=other)

    header, _, _ = sent.partition(b"\n--\n")
    keys_sent = [line.partition(b"=")[0] for line in header.splitlines()]
    assert len(keys_sent) == len(set(keys_sent))
    assert header.count(b"%SCRIPT%") >= 1
