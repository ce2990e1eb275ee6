"""What a page of a listing costs the store, with 100,000 invocations kept: every filter, alone and combined.

Part of `make bench`. Each page is asked for as any caller does, by the operation; its cost is the CPU that
the server (a private Valkey on a unix socket) and this process take for all of it, in ms. `shown` is how many
items came, `fit` how many there are, where a page by number tells.

    python -m bench --only listing
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.figures import summary
from bench.listing_corpus import BUSY, LARGE, fill
from cloudassist_tasks import config, wiring
from cloudassist_tasks.contract.commands import DescribeCommands
from cloudassist_tasks.contract.files import DescribeSendFileResults
from cloudassist_tasks.contract.instances import DescribeCloudAssistantStatus, DescribeInstances
from cloudassist_tasks.contract.invocations import DescribeInvocationResults, DescribeInvocations
from cloudassist_tasks.contract.operation import Operation, Tag
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.store.link import Link
from tests.support.valkey import ValkeyServer, private_valkey

__all__ = ["measure"]

TARGET_MS = 20

PAGE = 50

Asked = Operation[Any]


def measure(invocations: int = 100_000, rounds: int = 5) -> dict[str, Any]:
    """Figures by filter and style of page."""
    with private_valkey(on_disk=True) as server, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(server, Path(folder), invocations, rounds))


async def _measure(server: ValkeyServer, folder: Path, invocations: int, rounds: int) -> dict[str, Any]:
    settings = config.load({
        "CLOUDASSIST_DATA_DIR": str(folder),
        "CLOUDASSIST_REDIS_URL": server.url(0),
        "CLOUDASSIST_BROKER_URL": server.broker_url(1),
    })  # fmt: skip
    plane, link = await wiring.open_plane(settings, wiring.find_servers(settings)), Link(server.url(0))
    began = time.perf_counter()
    await fill(plane.store, invocations)
    filled_s = time.perf_counter() - began
    cold = await _cost(plane, link, DescribeInstances(), 1)
    kinds = {what: await _cost(plane, link, asked, rounds) for what, asked in _questions().items()}
    marks, used = await _bytes_of_marks(link), await _used_bytes(link)
    await link.close()
    await plane.close()
    slowest = max(kinds, key=lambda kind: float(kinds[kind]["server_ms_max"]))
    return {
        "tables": [{"title": f"listing: a page of {PAGE} among {invocations:,} invocations", "kinds": kinds}],
        "notes": [
            f"filled in {filled_s:,.0f} s; the store holds {used / 1e6:,.0f} MB, of which the marks and names"
            f" of invocations take {marks / 1e6:,.1f} MB",
            f"the first look of a process at 10,000 instances: {cold['server_ms_median']} ms, in ten steps",
        ],
        f"target_server_ms_under_{TARGET_MS}": f"slowest {kinds[slowest]['server_ms_max']} ms ({slowest})",
        "marks_bytes": marks,
    }


# -- what is asked


def _questions() -> Mapping[str, Asked]:
    """Each filter as a first page by token, and as a page by number further on, counted."""
    env, team = Tag(key="env", value="prod"), Tag(key="team")
    asked: dict[str, Asked] = {}

    def ask(what: str, operation: type[Any], **filters: object) -> None:
        asked[f"{what}; by token"] = operation(max_results=PAGE, **filters)
        asked[f"{what}; by number"] = operation(page_number=6, page_size=PAGE, **filters)

    ask("invocations", DescribeInvocations)
    ask("CommandId", DescribeInvocations, command_id="c-8")
    ask("CommandType, nearly all", DescribeInvocations, command_type="RunShellScript")
    ask("CommandName", DescribeInvocations, command_name="task 8 of 3")
    ask("CommandName *k 8*", DescribeInvocations, command_name="*k 8*")
    ask("InstanceId, half of all", DescribeInvocations, instance_id=BUSY)
    ask("InvokeStatus Success", DescribeInvocations, invoke_status="Success")
    ask("InvokeStatus PartialFailed", DescribeInvocations, invoke_status="PartialFailed")
    ask("InvokeStatus Pending", DescribeInvocations, invoke_status="Pending")
    ask("InvokeStatus Finished", DescribeInvocations, invoke_status="Finished")
    ask("InstanceId, InvokeStatus Failed", DescribeInvocations, instance_id=BUSY, invoke_status="Failed")
    ask("RepeatMode", DescribeInvocations, repeat_mode="Once")
    ask("Timed false", DescribeInvocations, timed=False)
    ask("Tag", DescribeInvocations, tag=[env])
    ask("ResourceGroupId", DescribeInvocations, resource_group_id="rg-1")
    ask(
        "type, name, status, tags, group",
        DescribeInvocations,
        command_type="RunShellScript",
        command_name="task*",
        invoke_status="Success",
        tag=[env, team],
        resource_group_id="rg-1",
    )
    ask("nothing fits", DescribeInvocations, command_id="c-0", resource_group_id="rg-1")
    ask("results", DescribeInvocationResults)
    ask("results: InvokeRecordStatus", DescribeInvocationResults, invoke_record_status="Failed")
    ask("results: status, tag", DescribeInvocationResults, invoke_record_status="Failed", tag=[env])
    ask(
        "results: InstanceId, status",
        DescribeInvocationResults,
        instance_id=BUSY,
        invoke_record_status="Failed",
    )
    rare = DescribeInvocationResults(invoke_id=LARGE, invoke_record_status="Failed", page_size=PAGE)
    asked["results: InvokeId of 10,000, 3 fit; by number"] = rare
    ask("files", DescribeSendFileResults)
    ask(
        "files: Name, status, tag",
        DescribeSendFileResults,
        name="file*",
        invocation_status="Success",
        tag=[env],
    )
    ask("commands", DescribeCommands)
    ask("commands: name, description", DescribeCommands, name="*7*", description="*thing*")
    ask("commands: type, tag", DescribeCommands, type="RunPowerShellScript", tag=[env])
    ask("instances", DescribeInstances)
    ask("instances: name, tag", DescribeInstances, instance_name="*7*", tag=[env])
    ask("assistants", DescribeCloudAssistantStatus)
    return asked


# -- what it costs


async def _cost(plane: Plane, link: Link, asked: Asked, rounds: int) -> dict[str, Any]:
    samples: list[Mapping[str, float]] = []
    shown = fit = 0
    for _ in range(rounds):
        server, client = await _server_cpu_s(link), time.process_time()
        result = await handle(plane, asked, LOCAL)
        client = time.process_time() - client
        server = await _server_cpu_s(link) - server
        samples.append({"server_ms": server * 1_000, "client_ms": client * 1_000})
        shown, fit = _counted(to_wire(result))
    return {"shown": shown, "fit": fit or ""} | summary(samples)


def _counted(wired: Any) -> tuple[int, int]:
    """How many items a reply has, and how many it says that there are. The items are its innermost list."""
    for value in wired.values():
        if isinstance(value, list):
            return len(value), int(wired.get("TotalCount", 0))
        if isinstance(value, dict):
            shown, fit = _counted(value)
            return shown, fit or int(wired.get("TotalCount", 0))
    return 0, int(wired.get("TotalCount", 0))


async def _server_cpu_s(link: Link) -> float:
    facts = await _info(link, "cpu")
    return float(facts["used_cpu_sys"]) + float(facts["used_cpu_user"])


async def _used_bytes(link: Link) -> int:
    return int((await _info(link, "memory"))["used_memory"])


async def _info(link: Link, section: str) -> Mapping[str, str]:
    lines = (await link.call("INFO", section)).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def _bytes_of_marks(link: Link) -> int:
    names: list[bytes] = []
    for pattern in ("ca:by:*", "ca:invocations:names:*"):
        names += await link.call("KEYS", pattern)
    sizes: list[int] = []
    for start in range(0, len(names), 1_000):
        sizes += await link.batch([("MEMORY", "USAGE", name) for name in names[start : start + 1_000]])
    return sum(sizes)
