"""What a room for large bodies would grant, without taking any of it."""

import asyncio

from signalbox_proxy.upload_room import UploadRoom


async def in_turn(*tasks: "asyncio.Task[int]") -> list[bool]:
    """Which of them are done, once each has gone as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def has_room(room: UploadRoom, size: int, agent: str) -> bool:
    """Whether an answer of this agent would wait for nobody. Takes nothing."""
    taking = asyncio.create_task(room.enter_answer(size, agent))
    (is_there,) = await in_turn(taking)
    if is_there:
        room.leave_answer(taking.result(), agent)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    return is_there
