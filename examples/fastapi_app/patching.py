"""A FastAPI app that has scripts run and is told by a webhook when they are done.

    export CLOUDASSIST_URL=http://127.0.0.1:8080 CLOUDASSIST_ACCESS_KEY=CA…:…   # cloudassist key create
    export WEBHOOK_SECRET=…                                                      # cloudassist webhook secret
    export PATCHING_URL=http://127.0.0.1:9000                                    # where CloudAssist finds us
    uvicorn patching:app --port 9000

    curl -d '{"script": "uptime", "instances": ["web-1"]}' -H 'content-type: application/json' \
        http://127.0.0.1:9000/patches
"""

import os
import sqlite3
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel

from cloudassist_tasks import AsyncClient, Refused, verified


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with AsyncClient(
        os.environ.get("CLOUDASSIST_URL"), os.environ.get("CLOUDASSIST_ACCESS_KEY")
    ) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


class Patch(BaseModel):
    script: str
    instances: list[str]


@app.post("/patches", status_code=202)
async def begin(patch: Patch, request: Request):
    """Have a script run; answers at once."""
    try:
        invocation = await request.app.state.client.run(
            patch.script, instances=patch.instances, webhook=f"{os.environ['PATCHING_URL']}/done"
        )
    except Refused as refusal:
        raise HTTPException(400, refusal.message) from refusal
    return {"id": invocation.id}


@app.post("/done", status_code=204)
async def done(request: Request):
    """The webhook: whoever signs with our secret tells us what came of an invocation."""
    body = await request.body()
    signature = request.headers.get("x-cloudassist-signature", "")
    if not verified(os.environ["WEBHOOK_SECRET"], body, signature, now_s=time.time()):
        return Response(status_code=401)
    summary = await request.json()
    with database() as told:
        first = told.execute(
            "INSERT OR IGNORE INTO told VALUES (?, ?, ?)",
            (request.headers["x-cloudassist-delivery"], summary["InvokeId"], summary["InvocationStatus"]),
        )
        if first.rowcount:
            pass  # What must happen once per invocation goes here, in the same transaction.
    return Response(status_code=204)


@app.get("/patches/{invoke_id}")
async def look(invoke_id: str):
    """What we were told, and how often it was new to us."""
    found = database().execute("SELECT state FROM told WHERE invoke_id = ?", (invoke_id,)).fetchall()
    return {"id": invoke_id, "state": found[0][0] if found else "open", "told": len(found)}


def database():
    """What we were told: by the delivery's id, which is the same however often it comes."""
    told = sqlite3.connect(os.environ.get("PATCHING_DATABASE", "patching.db"), timeout=10)
    told.execute("CREATE TABLE IF NOT EXISTS told (id TEXT PRIMARY KEY, invoke_id TEXT, state TEXT)")
    return told
