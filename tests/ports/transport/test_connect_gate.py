"""Turns to connect: hosts that are gone take none from those that are there."""

import asyncio
import socket

import pytest

from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.ssh import gate
from cloudassist_tasks.transports.ssh.gate import ConnectGate

ONE_AT_ONCE = ConnectLimits(max_connecting=1)


async def test_a_host_that_does_not_answer_lends_its_turn_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "SILENT_AFTER_S", 0.01)
    turns, answers = ConnectGate(ONE_AT_ONCE), asyncio.get_running_loop().create_future()
    order: list[str] = []

    async def silent() -> None:
        async with turns.turn() as turn:
            order.append("silent began")
            with await turn.lent_to_silence(answers):
                order.append("silent goes on")

    first = asyncio.create_task(silent())
    while not order:
        await asyncio.sleep(0)
    async with turns.turn():
        order.append("another")
        answers.set_result(socket.socket())
        for _ in range(5):
            await asyncio.sleep(0)
        order.append("another ends")
    await first

    assert order == ["silent began", "another", "another ends", "silent goes on"]


async def test_a_turn_that_was_lent_comes_back_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "SILENT_AFTER_S", 0)
    turns = ConnectGate(ONE_AT_ONCE)

    async def silent(answers: "asyncio.Future[socket.socket]") -> None:
        async with turns.turn() as turn:
            await turn.lent_to_silence(answers)

    for ending in ("fails", "is cancelled", "is cancelled on its way back"):
        answers = asyncio.get_running_loop().create_future()
        trying = asyncio.create_task(silent(answers))
        await asyncio.sleep(0.01)
        async with turns.turn():
            match ending:
                case "fails":
                    answers.set_exception(OSError("no route"))
                case "is cancelled":
                    trying.cancel()
                case _:
                    answers.set_result(connected := socket.socket())
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    trying.cancel()
            await asyncio.wait({trying})
        if ending == "is cancelled on its way back":
            assert connected.fileno() == -1

    async with asyncio.timeout(60), turns.turn():
        pass
