// A program for the vendor's Node library: run, describe, stop, and errors.
//
// Its packages lie beside the checkout's other environments (`make sdks`; NODE_PATH names them). Started by
// `test_lines.py` with the endpoint, the key and the instances as arguments; prints what it was told as JSON.

"use strict";

const ecs = require("@alicloud/ecs20140526");
const { $OpenApiUtil } = require("@alicloud/openapi-core");

const REGION = "cn-test";
const PATIENT = { connectTimeout: 60_000, readTimeout: 60_000 };
const FINAL = ["Success", "Failed", "Terminated", "Cancelled", "Aborted", "Invalid", "Error", "Timeout"];

function clientOf(endpoint, accessKeyId, accessKeySecret, signature) {
  const config = { endpoint, protocol: "HTTP", accessKeyId, accessKeySecret, regionId: REGION, ...PATIENT };
  if (signature === "v2") config.signatureAlgorithm = "v2";
  return new ecs.default(new $OpenApiUtil.Config(config));
}

async function results(client, invokeId) {
  const request = { regionId: REGION, invokeId, contentEncoding: "PlainText" };
  const reply = await client.describeInvocationResults(new ecs.DescribeInvocationResultsRequest(request));
  return reply.body.invocation.invocationResults.invocationResult;
}

async function until(condition) {
  const deadline = Date.now() + 120_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("the invocation does not get there within 120 s");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function ended(client, invokeId) {
  await until(async () => (await results(client, invokeId)).every((one) => FINAL.includes(one.invocationStatus)));
  return results(client, invokeId);
}

// What reaches the caller when nothing can be run.
async function refusal(client, instance) {
  const request = { regionId: REGION, type: "RunShellScript", commandContent: "true", instanceId: [instance] };
  try {
    await client.runCommand(new ecs.RunCommandRequest(request));
  } catch (error) {
    return {
      class: error.name,
      code: error.code,
      status: error.statusCode,
      message: error.message,
      request_id: error.data.RequestId,
    };
  }
  throw new Error("it was not refused");
}

async function main(endpoint, keyId, secret, signature, ...instances) {
  const client = clientOf(endpoint, keyId, secret, signature);
  const tag = { key: "sdk", value: `node ${signature}` };
  const ran = await client.runCommand(
    new ecs.RunCommandRequest({
      regionId: REGION,
      type: "RunShellScript",
      commandContent: "printf '%s' 'hello {{name}}'",
      enableParameter: true,
      parameters: { name: "Jack & Jill 名 *~+/=" },
      instanceId: instances,
      tag: [new ecs.RunCommandRequestTag(tag), new ecs.RunCommandRequestTag({ key: "empty", value: "" })],
    }),
  );
  const invokeId = ran.body.invokeId;
  const finished = await ended(client, invokeId);
  const filter = { regionId: REGION, invokeId, tag: [new ecs.DescribeInvocationsRequestTag(tag)] };
  const listed = (await client.describeInvocations(new ecs.DescribeInvocationsRequest(filter))).body.invocations.invocation;

  const sleeping = { regionId: REGION, type: "RunShellScript", commandContent: "sleep 600", instanceId: instances.slice(0, 1) };
  const long = (await client.runCommand(new ecs.RunCommandRequest(sleeping))).body.invokeId;
  await until(async () => (await results(client, long))[0].invocationStatus === "Running");
  await client.stopInvocation(new ecs.StopInvocationRequest({ regionId: REGION, invokeId: long }));
  return {
    request_id: ran.body.requestId,
    outputs: Object.fromEntries(finished.map((one) => [one.instanceId, one.output])),
    exit_codes: finished.map((one) => one.exitCode),
    listed: listed.map((one) => [one.invokeId === invokeId, one.invocationStatus, one.timeout]),
    tags: Object.fromEntries(listed[0].tags.tag.map((one) => [one.tagKey, one.tagValue])),
    stopped: (await ended(client, long)).map((one) => one.invocationStatus),
    unknown_instance: await refusal(client, "i-nowhere"),
    wrong_secret: await refusal(clientOf(endpoint, keyId, "not the secret", signature), instances[0]),
  };
}

main(...process.argv.slice(2)).then((told) => process.stdout.write(JSON.stringify(told)));
