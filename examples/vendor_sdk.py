"""The vendor's SDK as it is: ECS_ENDPOINT (host:port), ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET say where."""
import base64, os, time
from alibabacloud_credentials.client import Client as Credentials
from alibabacloud_ecs20140526 import client, models as ecs
from alibabacloud_tea_openapi.utils_models import Config

sdk = client.Client(Config(credential=Credentials(), endpoint=os.environ["ECS_ENDPOINT"], protocol="HTTP"))
at, ids = {"region_id": "default"}, ["i-1", "i-2", "i-3"]
script = base64.b64encode(b'printf "{{text}}, from {{ACS::InstanceId}}"; sleep {{seconds}}').decode()
new = {"name": "greet", "type": "RunShellScript", "command_content": script, "enable_parameter": True}
kept = {**at, "command_id": sdk.create_command(ecs.CreateCommandRequest(**at, **new)).body.command_id}

def invoke(**values):
    made = sdk.invoke_command(ecs.InvokeCommandRequest(**kept, instance_id=ids, parameters=values)).body
    return ecs.DescribeInvocationsRequest(**at, invoke_id=made.invoke_id, include_output=True)

def show(asked, describe=sdk.describe_invocations, busy=("Pending", "Running", "Stopping")):
    while (found := describe(asked).body.invocations.invocation[0]).invocation_status in busy:
        time.sleep(0.2)
    for one in found.invoke_instances.invoke_instance:
        print(one.instance_id, one.invocation_status, base64.b64decode(getattr(one, "output", "")).decode())

show(invoke(text="hello", seconds="0"))
show(long := invoke(text="hello again", seconds="600"), busy=("Pending",))
sdk.stop_invocation(ecs.StopInvocationRequest(**at, invoke_id=long.invoke_id))
show(long)
note = {"name": "note", "content": "a note in a file", "target_dir": "/tmp/vendor-sdk", "overwrite": True}
sent = sdk.send_file(ecs.SendFileRequest(**at, **note, instance_id=ids)).body
show(ecs.DescribeSendFileResultsRequest(**at, invoke_id=sent.invoke_id), sdk.describe_send_file_results)
show(invoke(text="$(cat /tmp/vendor-sdk/note)", seconds="0"))
