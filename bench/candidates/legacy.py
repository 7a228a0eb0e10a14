"""The design of the legacy Python service: FastAPI, uvicorn, one commit per request. Durable: synchronous = FULL."""

import hashlib
import hmac
import os
import socket
import sqlite3
from datetime import datetime, timezone
from typing import Optional

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

SECRET = os.environ["WEBHOOK_SECRET"].encode()

database = sqlite3.connect(os.environ["DATABASE_PATH"], check_same_thread=False)
database.execute("pragma journal_mode = WAL")
database.execute("pragma synchronous = FULL")
database.execute(
    """create table messages (
    message_id text primary key, from_msisdn text not null, to_msisdn text not null,
    ts text not null, text text, created_at text not null)"""
)
database.commit()

app = FastAPI()


class Message(BaseModel):
    message_id: str = Field(min_length=1)
    sender: str = Field(alias="from", regex=r"^\+[0-9]+$")
    to: str = Field(regex=r"^\+[0-9]+$")
    ts: datetime
    text: Optional[str] = Field(None, max_length=4096)


@app.post("/webhook")
async def webhook(request: Request):
    body = await request.body()
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request.headers.get("x-signature", ""), expected):
        raise HTTPException(401, "invalid signature")
    message = Message.parse_raw(body)
    database.execute(
        "insert or ignore into messages values (?, ?, ?, ?, ?, ?)",
        (
            message.message_id,
            message.sender,
            message.to,
            message.ts.isoformat(),
            message.text,
            datetime.now(timezone.utc).isoformat(),
        ),
    )
    database.commit()
    return {"status": "ok"}


@app.get("/stats")
async def stats():
    (count,) = database.execute("select count(*) from messages").fetchone()
    return {"total_messages": count}


listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
