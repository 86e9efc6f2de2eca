"""The official Python library of the server API, driven line by line.

    api.py URL KEY

Reads {"id": 1, "call": "publish", "with": {...}} and prints {"re": 1, "ok": {...}}, or {"re": 1, "error": {code,
message}}. A batch is "call": "batch", "with": [{"call": ..., "with": {...}}, ...].
"""

import json
import sys

import cent

REQUESTS = {
    "publish": cent.PublishRequest,
    "broadcast": cent.BroadcastRequest,
    "subscribe": cent.SubscribeRequest,
    "unsubscribe": cent.UnsubscribeRequest,
    "disconnect": cent.DisconnectRequest,
    "refresh": cent.RefreshRequest,
    "presence": cent.PresenceRequest,
    "presence_stats": cent.PresenceStatsRequest,
    "history": cent.HistoryRequest,
    "history_remove": cent.HistoryRemoveRequest,
    "channels": cent.ChannelsRequest,
    "info": cent.InfoRequest,
}


def request(call):
    return REQUESTS[call["call"]](**call.get("with", {}))


def answer(client, command):
    if command["call"] == "batch":
        result = client.batch(cent.BatchRequest(requests=[request(it) for it in command["with"]]))
    else:
        result = getattr(client, command["call"])(request(command))
    # A batch's replies are declared as no more than results.
    return result.model_dump(serialize_as_any=True)


def main() -> None:
    client = cent.Client(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        command = json.loads(line)
        try:
            reply = {"ok": answer(client, command)}
        except cent.CentApiResponseError as error:
            reply = {"error": {"code": error.code, "message": error.message}}
        except Exception as error:  # whatever it is, the test is to see it
            reply = {"error": {"code": 0, "message": repr(error)}}
        print(json.dumps({"re": command["id"], **reply}), flush=True)


main()
