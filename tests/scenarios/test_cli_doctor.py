"""`cloudassist doctor` over a server of one's own: what its settings may lose."""

from typing import Any

from tests.support.command_line import installation
from tests.support.valkey import ValkeyServer, private_valkey


def test_doctor_says_what_the_store_may_lose() -> None:
    with private_valkey() as server, installation() as cloudassist:
        cloudassist.environment["CLOUDASSIST_REDIS_URL"] = server.url()

        each_second = _storage(cloudassist)
        server.flush_always()
        always = _storage(cloudassist)
        _rename_config(server)
        unknown = _storage(cloudassist)

    assert each_second["word"] == "advice"
    assert "may lose its last moments" in each_second["what"]
    assert "appendfsync always" in each_second["next_step"]
    assert always["word"] == unknown["word"] == "ok"


def _storage(cloudassist: Any) -> Any:
    findings = cloudassist("doctor", "--json").json["findings"]
    return next(finding for finding in findings if finding["part"] == "storage")


def _rename_config(server: ValkeyServer) -> None:
    """As hosted servers have it: nobody may read the configuration."""
    server.client().execute_command("ACL", "SETUSER", "default", "-config")  # type: ignore[no-untyped-call]
