"""The official Python client as a judge of numbered publications.

    tally.py json|protobuf

Reads and prints the same lines as tally.mjs, in the JavaScript folder.
"""

import asyncio
import json
import sys
from typing import Any

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

PROTOBUF = sys.argv[1] == "protobuf"
KEPT = 20


class Tally:
    """What was seen, and the commands by the names they have on the line."""

    def __init__(self) -> None:
        self.client: Any = None
        self.last: dict[str, int] = {}
        self.live: set[str] = set()
        self.received = 0
        self.forget()

    def note(self, text: str) -> None:
        if len(self.violations) < KEPT:
            self.violations.append(text)

    def publication(self, channel: str, number: int) -> None:
        self.received += 1
        before = self.last.get(channel)
        if before is not None and number != before + 1:
            self.wrong.add(channel)
            self.note(f"{channel}: {number} after {before}")
        self.last[channel] = number if before is None else max(before, number)

    async def connect(self, url, token="", options=None):
        self.client = Client(
            url,
            events=ClientEvents(self),
            token=token,
            use_protobuf=PROTOBUF,
            proxy=None,
            timeout=20.0,
            **(options or {}),
        )
        await self.client.connect()

    async def watch(self, channels):
        for channel in channels:
            sub = self.client.new_subscription(channel, events=SubscriptionEvents(self, channel))
            await sub.subscribe()

    async def leave(self):
        await self.client.disconnect()

    async def return_(self):
        await self.client.connect()

    async def report(self):
        return {
            "received": self.received,
            "subscribed": len(self.live),
            **self.counts,
            "wrong": list(self.wrong),
            **self.resubscribes,
            "violations": self.violations,
        }

    async def numbers(self):
        return self.last

    def forget(self):
        self.violations: list[str] = []
        self.wrong: set[str] = set()
        self.counts = {"connects": 0, "disconnects": 0, "unsubscribes": 0, "errors": 0}
        self.resubscribes: dict[str, list[str]] = {"recovered": [], "lost": []}


class ClientEvents(ClientEventHandler):
    def __init__(self, tally: Tally):
        self.tally = tally

    async def on_connected(self, ctx):
        self.tally.counts["connects"] += 1

    async def on_connecting(self, ctx):
        if ctx.code != 0:
            self.tally.counts["disconnects"] += 1

    async def on_disconnected(self, ctx):
        self.tally.counts["disconnects"] += 1

    async def on_error(self, ctx):
        self.tally.counts["errors"] += 1
        self.tally.note(f"error {ctx.code}: {ctx.error}")


class SubscriptionEvents(SubscriptionEventHandler):
    def __init__(self, tally: Tally, channel: str):
        self.tally = tally
        self.channel = channel

    async def on_subscribed(self, ctx):
        self.tally.live.add(self.channel)
        if ctx.was_recovering:
            self.tally.resubscribes["recovered" if ctx.recovered else "lost"].append(self.channel)
        if not ctx.recovered:
            self.tally.last.pop(self.channel, None)

    async def on_subscribing(self, ctx):
        self.tally.live.discard(self.channel)
        if ctx.code == 2500:
            self.tally.counts["unsubscribes"] += 1

    async def on_unsubscribed(self, ctx):
        self.tally.live.discard(self.channel)
        self.tally.counts["unsubscribes"] += 1
        self.tally.note(f"{self.channel}: unsubscribed {ctx.code} {ctx.reason}")

    async def on_publication(self, ctx):
        data = json.loads(ctx.pub.data) if PROTOBUF else ctx.pub.data
        self.tally.publication(self.channel, data["n"])

    async def on_error(self, ctx):
        self.tally.counts["errors"] += 1
        self.tally.note(f"{self.channel}: {ctx.code} {ctx.error}")


async def obey(tally: Tally, line: str) -> None:
    command = json.loads(line)
    number = command.pop("id")
    name = command.pop("do")
    try:
        answer = getattr(tally, "return_" if name == "return" else name)(**command)
        answer = await answer if asyncio.iscoroutine(answer) else answer
        reply = {"re": number, "ok": answer}
    except Exception as error:  # whatever it is, the test is to see it
        reply = {"re": number, "error": {"code": 0, "message": repr(error)}}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


async def main() -> None:
    tally = Tally()
    loop = asyncio.get_running_loop()
    tasks = set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(obey(tally, line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
