"""The upstream of the bench: one fixed chat completion, as cheaply as Python can say it.

`python mock.py PORT` answers every request on a connection with the same bytes; it reads
just enough HTTP/1.1 to know where a request ends. It stands in for a provider whose own cost
would hide the proxy's. The judge of money is the simulator, never this.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "gpt-bench",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A budget holds. " * 12},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 180, "completion_tokens": 48, "total_tokens": 228},
    }
).encode()
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
) + ANSWER


class Mock(asyncio.Protocol):
    """One connection: counts bodies by Content-Length and answers each."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has no base of asyncio's
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while True:
            head, blank, rest = self.waiting.partition(b"\r\n\r\n")
            if not blank:
                return
            size = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
                elif name.lower() == b"transfer-encoding":
                    raise ValueError("the bench's mock reads Content-Length bodies only")
            if len(rest) < size:
                return
            self.waiting = rest[size:]
            self.transport.write(REPLY)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
