"""The bench's baseline: the least that an aiohttp proxy can do.

`python passthrough.py PORT UPSTREAM_URL` reads a request, sends its bytes on, and returns the
answer's. No decoding, no identity, no price, no budget, no record. Tuned as the data plane is:
uvloop, low-level server, no access log, one ClientSession without cookie jar or decompression.
"""

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from yarl import URL


async def main(port: int, upstream: str) -> None:
    session = ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("User-Agent",),
    )
    url = URL(upstream, encoded=True)

    async def forward(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = {
            "Content-Type": "application/json",
            "Authorization": request.headers.get("Authorization", ""),
        }
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={"Content-Type": answer.headers["Content-Type"]},
            )

    runner = web.ServerRunner(web.Server(forward, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    assert runner.addresses
    print("ready", runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
