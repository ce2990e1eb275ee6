"""`cloudassist doctor` over a server of one's own: what its settings may lose, and whether it has room."""

from typing import Any

from tests.support.command_line import installation
from tests.support.valkey import ValkeyServer, private_valkey


def test_doctor_says_what_the_store_may_lose() -> None:
    with private_valkey() as server, installation(here=True) as cloudassist:
        cloudassist.environment["CLOUDASSIST_REDIS_URL"] = server.url()

        each_second = _finding(cloudassist, "storage")
        server.flush_always()
        always = _finding(cloudassist, "storage")
        _keep_config_secret(server)
        unknown = _finding(cloudassist, "storage")

    assert each_second["word"] == "advice"
    assert "may lose its last moments" in each_second["what"]
    assert "appendfsync always" in each_second["next_step"]
    assert always["word"] == "ok"
    assert unknown["word"] == "advice"
    assert "`appendfsync` cannot be asked" in unknown["what"]
    assert "docs/operations.md" in unknown["next_step"]


def test_doctor_says_when_the_store_is_full_or_would_drop_what_it_keeps() -> None:
    with private_valkey() as server, installation(here=True) as cloudassist:
        cloudassist.environment["CLOUDASSIST_REDIS_URL"] = server.url()
        client = server.client()

        no_limit = _finding(cloudassist, "memory")
        client.config_set("maxmemory", "100mb")
        roomy = _finding(cloudassist, "memory")
        client.config_set("maxmemory-policy", "allkeys-lru")
        dropping = _finding(cloudassist, "memory")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        full = _finding(cloudassist, "memory")

    assert no_limit["word"] == "advice"
    assert "maxmemory" in no_limit["next_step"]
    assert roomy["word"] == "ok"
    assert "of 100 MiB" in roomy["what"]
    assert dropping["word"] == "advice"
    assert "allkeys-lru" in dropping["what"]
    assert "noeviction" in dropping["next_step"]
    assert full["word"] == "fault"
    assert "CLOUDASSIST_LIMIT_RETENTION_S" in full["next_step"]


def _finding(cloudassist: Any, part: str) -> Any:
    findings = cloudassist("doctor", "--json").json["findings"]
    return next(finding for finding in findings if finding["part"] == part)


def _keep_config_secret(server: ValkeyServer) -> None:
    """As hosted servers have it: nobody may read the configuration."""
    server.client().execute_command("ACL", "SETUSER", "default", "-config")  # type: ignore[no-untyped-call]
