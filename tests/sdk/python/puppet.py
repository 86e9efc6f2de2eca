"""The official Python client, driven line by line.

    puppet.py json|protobuf

Reads and prints the same lines as puppet.mjs beside it, in the JavaScript folder.
"""

import asyncio
import json
import sys
from typing import Any, Optional

from centrifuge import (
    Client,
    ClientEventHandler,
    ClientInfo,
    ReplyError,
    StreamPosition,
    SubscriptionEventHandler,
)

PROTOBUF = sys.argv[1] == "protobuf"


def encode(value: Any) -> Any:
    """In Protobuf the client takes payloads as bytes; the tests publish JSON in both."""
    return json.dumps(value).encode() if PROTOBUF else value


def decode(value: Any) -> Any:
    if value is None or value == b"":
        return None
    return json.loads(value) if PROTOBUF else value


def show(line: dict) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def emit(name: str, **fields: Any) -> None:
    show({"event": name, **fields})


def info(it: Optional[ClientInfo]) -> Optional[dict]:
    if it is None:
        return None
    return {
        "client": it.client,
        "user": it.user,
        "conn_info": decode(it.conn_info),
        "chan_info": decode(it.chan_info),
    }


def publication(it: Any) -> dict:
    return {"data": decode(it.data), "offset": it.offset or 0, "tags": it.tags or {}, "info": info(it.info)}


def subscribed(channel: str, it: Any) -> dict:
    position = it.stream_position
    return {
        "channel": channel,
        "was_recovering": it.was_recovering,
        "recovered": it.recovered,
        "recoverable": it.recoverable,
        "positioned": it.positioned,
        "offset": position.offset if position else 0,
        "epoch": position.epoch if position else "",
        "data": decode(it.data),
    }


class ClientEvents(ClientEventHandler):
    async def on_connecting(self, ctx):
        emit("connecting", code=ctx.code, reason=ctx.reason)

    async def on_connected(self, ctx):
        emit("connected", client=ctx.client, data=decode(ctx.data))

    async def on_disconnected(self, ctx):
        emit("disconnected", code=ctx.code, reason=ctx.reason)

    async def on_error(self, ctx):
        emit("error", code=ctx.code, message=str(ctx.error))

    async def on_subscribed(self, ctx):
        emit("subscribed", **subscribed(ctx.channel, ctx), server=True)

    async def on_subscribing(self, ctx):
        emit("subscribing", channel=ctx.channel, code=0, reason="", server=True)

    async def on_unsubscribed(self, ctx):
        emit("unsubscribed", channel=ctx.channel, code=0, reason="", server=True)

    async def on_publication(self, ctx):
        emit("publication", channel=ctx.channel, **publication(ctx.pub), server=True)

    async def on_join(self, ctx):
        emit("join", channel=ctx.channel, info=info(ctx.info), server=True)

    async def on_leave(self, ctx):
        emit("leave", channel=ctx.channel, info=info(ctx.info), server=True)


class SubscriptionEvents(SubscriptionEventHandler):
    def __init__(self, channel: str):
        self.channel = channel

    async def on_subscribing(self, ctx):
        emit("subscribing", channel=self.channel, code=ctx.code, reason=ctx.reason)

    async def on_subscribed(self, ctx):
        emit("subscribed", **subscribed(self.channel, ctx))

    async def on_unsubscribed(self, ctx):
        emit("unsubscribed", channel=self.channel, code=ctx.code, reason=ctx.reason)

    async def on_publication(self, ctx):
        emit("publication", channel=self.channel, **publication(ctx.pub))

    async def on_join(self, ctx):
        emit("join", channel=self.channel, info=info(ctx.info))

    async def on_leave(self, ctx):
        emit("leave", channel=self.channel, info=info(ctx.info))

    async def on_error(self, ctx):
        code = getattr(ctx.error, "code", ctx.code)
        emit("subscription_error", channel=self.channel, code=code, message=str(ctx.error))


class Puppet:
    """The commands, by the names they have on the line."""

    client: Client

    async def connect(self, url, token="", options=None):
        self.client = Client(
            url, events=ClientEvents(), token=token or "", use_protobuf=PROTOBUF, proxy=None, **(options or {})
        )
        await self.client.connect()

    async def disconnect(self):
        await self.client.disconnect()

    async def subscribe(self, channel, options=None):
        sub = self.client.get_subscription(channel) or self.client.new_subscription(
            channel, events=SubscriptionEvents(channel), **(options or {})
        )
        await sub.subscribe()

    async def unsubscribe(self, channel):
        await self.client.get_subscription(channel).unsubscribe()

    async def publish(self, channel, data):
        await self.client.publish(channel, encode(data))

    async def presence(self, channel):
        result = await self.client.presence(channel)
        return {client: info(it) for client, it in result.clients.items()}

    async def presence_stats(self, channel):
        result = await self.client.presence_stats(channel)
        return {"num_clients": result.num_clients, "num_users": result.num_users}

    async def history(self, channel, limit=0, since=None, reverse=False):
        position = StreamPosition(**since) if since else None
        result = await self.client.history(channel, limit=limit, since=position, reverse=reverse)
        return {
            "publications": [publication(it) for it in result.publications],
            "offset": result.offset,
            "epoch": result.epoch,
        }

    async def rpc(self, method, data):
        return decode((await self.client.rpc(method, encode(data))).data)


async def obey(puppet: Puppet, line: str) -> None:
    command = json.loads(line)
    number = command.pop("id")
    try:
        show({"re": number, "ok": await getattr(puppet, command.pop("do"))(**command)})
    except ReplyError as error:
        show({"re": number, "error": {"code": error.code, "message": str(error)}})
    except Exception as error:  # whatever it is, the test is to see it
        show({"re": number, "error": {"code": 0, "message": repr(error)}})


async def main() -> None:
    puppet = Puppet()
    loop = asyncio.get_running_loop()
    tasks = set()
    # When the test goes away so does the puppet.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(obey(puppet, line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
