"""What is written today has the shape that is recorded for this version; a change is noticed here first."""

import copy

import pytest

from tests.compat.dump import moved, named, put_names
from tests.compat.record import RECORDED, VERSION, read, record
from tests.compat.shapes import Shape, differences, shape_of_messages, shape_of_store
from tests.support.plane import private_installation

NEXT_STEP = f"""
What {VERSION} writes is not what is recorded of it. If others may run {VERSION} already, today's code must
read both forms, and the version is raised; else the change is part of it. Then record anew and commit:
    python -m tests.compat.record"""


def test_this_version_is_recorded() -> None:
    assert VERSION in RECORDED, f"there is no recording of {VERSION}: run python -m tests.compat.record"


async def test_what_is_written_today_has_the_recorded_shape() -> None:
    with private_installation() as home:
        today = await record(home)

    changed = differences(
        _shape(read(VERSION, "store"), read(VERSION, "broker")), _shape(today["store"], today["broker"])
    )

    assert not changed, "\n".join([*changed, NEXT_STEP])


def _shape(store: dict, broker: dict) -> Shape:  # type: ignore[type-arg]
    return shape_of_store(store) | shape_of_messages(broker)


@pytest.mark.parametrize("recorded", RECORDED)
def test_a_change_of_format_is_told_in_words(recorded: str) -> None:
    store, broker = read(recorded, "store"), read(recorded, "broker")
    before = _shape(store, broker)
    later = copy.deepcopy(store)
    del later["ca:workers"]
    later["ca:new"] = {"type": "string", "value": "1"}
    run = next(entry for key, entry in later.items() if key.startswith("ca:run:"))
    run["value"]["colour"] = "blue"
    others = copy.deepcopy(broker)
    message = others["cloudassist.run.default"]["value"][0]
    message["body"] = message["body"].replace('"v": 1', '"v": "two"')

    said = differences(before, _shape(later, others))

    assert differences(before, before) == []
    assert said == [
        "ca:new (string) is new: a number, stays",
        "ca:run:<id>.<instance>.<round> (hash) has a new colour: text",
        "ca:workers (zset) is no longer written",
        "cloudassist.run.default cloudassist.run has a new v: text",
    ]


def test_times_and_names_of_a_recording_are_put_right() -> None:
    dump = {"ca:x:@HOME@": {"type": "zset", "value": [["001795355893131.t-1@PORT@", "1795355893131"]]}}

    here = moved(put_names(dump, {"HOME": "/srv", "PORT": ":22"}), 1_000)

    assert here == {"ca:x:/srv": {"type": "zset", "value": [["001795355894131.t-1:22", "1795355894131"]]}}
    assert named(moved(here, -1_000), {"HOME": "/srv", "PORT": ":22"}) == dump
