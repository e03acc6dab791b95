"""A model provider in a process of its own, that keeps its own account of what it bills.

`python -m tests.money.far_side` prints its port. It speaks as much of the Messages API as the driver asks of it,
over plain sockets: a provider that took as long as the callers would hide what they do to each other. Every path
begins with an account; what is billed is noted before a byte of an answer is sent.
"""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.money.calls import MODEL, OUTPUT, PRICES, SLOW_S, Call


@dataclass
class Account:
    """What one round is billed."""

    charges: dict[str, int] = field(default_factory=dict[str, int])
    """pico-USD by the id of the answer."""
    answered: int = 0
    tries: Counter[str] = field(default_factory=Counter[str])
    surcharge: int = 0
    """Tokens of output that each answer is billed beyond all that was asked for: past every margin."""

    def serve(self, call: Call, max_tokens: int) -> tuple[str, int, int, str]:
        """The fate of this try, and the answer's id, output and kind of input; billed unless it is turned away."""
        nth = self.tries[call.name]
        self.tries[call.name] += 1
        fate = call.fates[min(nth, len(call.fates) - 1)]
        dear = fate == "dear"
        wrote = (max_tokens if dear else call.wrote) + self.surcharge
        kind = "hour" if dear else call.kind
        name = f"msg_{call.name}_{nth}"
        if fate != "overloaded":
            self.charges[name] = call.read * PRICES[kind] + wrote * OUTPUT
        return fate, wrote, nth, kind


accounts: defaultdict[str, Account] = defaultdict(Account)


async def _serve(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while (head := await reader.readuntil(b"\r\n\r\n")) and await _answer(head, reader, writer):
            pass
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _answer(head: bytes, reader: StreamReader, writer: StreamWriter) -> bool:
    """One request; False when the connection is over."""
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
    name, _, verb = path.lstrip("/").partition("/")
    account = accounts[name]
    if method == "GET":
        bill = {"pico": sum(account.charges.values()), "charges": account.charges}
        return await _send(writer, 200, {**bill, "answered": account.answered})
    if verb == "surcharge":
        account.surcharge = json.loads(body)
        return await _send(writer, 200, {})
    return await _message(account, json.loads(body), writer)


async def _message(account: Account, asked: dict[str, Any], writer: StreamWriter) -> bool:
    call = Call.told({**json.loads(asked["messages"][0]["content"][0]["text"]), "ratio": 0})
    fate, wrote, nth, kind = account.serve(call, asked["max_tokens"])
    await asyncio.sleep(SLOW_S if fate == "slow" else call.ms / 1000)
    match fate:
        case "overloaded":
            error = {"type": "overloaded_error", "message": "overloaded"}
            return await _send(writer, 529, {"type": "error", "error": error})
        case "gateway":
            return await _send(writer, 504, {"type": "error", "error": {"type": "timeout_error"}})
        case "garbled":
            return await _send(writer, 200, "<html>a proxy's page</html>")
        case "cut":
            return False
        case _:
            account.answered += 1
            return await _send(writer, 200, _reply(call, wrote, nth, kind))


def _reply(call: Call, wrote: int, nth: int, kind: str) -> dict[str, Any]:
    used = {
        "input_tokens": call.read if kind == "plain" else 0,
        "output_tokens": wrote,
        "cache_read_input_tokens": call.read if kind == "cached" else 0,
        "cache_creation_input_tokens": call.read if kind in ("written", "hour") else 0,
        "cache_creation": {
            "ephemeral_5m_input_tokens": call.read if kind == "written" else 0,
            "ephemeral_1h_input_tokens": call.read if kind == "hour" else 0,
        },
    }
    return {
        "id": f"msg_{call.name}_{nth}", "type": "message", "role": "assistant", "model": MODEL,
        "content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn", "usage": used,
    }  # fmt: skip


async def _send(writer: StreamWriter, status: int, body: object) -> bool:
    data = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} said\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    await writer.drain()
    return True


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
