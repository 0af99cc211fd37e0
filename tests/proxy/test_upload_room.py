"""Whoever waits for room gets it in turn, whatever the requests that wait hold meanwhile."""

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.upload_room import UploadRoom
from support.rooms import has_room, in_turn


async def test_a_small_answer_overtakes_no_large_one_of_its_agent_but_other_agents_pass() -> None:
    room = UploadRoom(16)
    await room.enter_answer(1, "shop/bot")
    large = asyncio.create_task(room.enter_answer(4, "shop/bot"))
    small = asyncio.create_task(room.enter_answer(1, "shop/bot"))
    others = asyncio.create_task(room.enter_answer(4, "shop/other"))
    assert await in_turn(large, small, others) == [False, False, True]
    room.leave_answer(1, "shop/bot")
    assert await in_turn(large, small) == [True, False]
    room.leave_answer(4, "shop/bot")
    assert await in_turn(small) == [True]


async def test_in_a_full_room_nobody_overtakes_whoever_came_first() -> None:
    room = UploadRoom(16)
    for agent in ("a", "b", "c"):
        await room.enter_answer(4, agent)
    await room.enter_answer(2, "d")
    first = asyncio.create_task(room.enter_answer(4, "e"))
    second = asyncio.create_task(room.enter_answer(1, "f"))
    assert await in_turn(first, second) == [False, False]
    room.leave_answer(1, "a")
    assert await in_turn(first, second) == [False, False]
    first.cancel()
    assert await in_turn(first, second) == [True, True], "a place that is given up keeps nobody"


async def test_room_that_is_granted_as_its_request_ends_is_given_back() -> None:
    room = UploadRoom(16)
    await room.enter_answer(4, "shop/bot")
    waiting = asyncio.create_task(room.enter_answer(4, "shop/bot"))
    assert await in_turn(waiting) == [False]
    room.leave_answer(4, "shop/bot")
    waiting.cancel()
    assert await in_turn(waiting) == [True]
    assert await has_room(room, 4, "shop/bot")


async def one_request(room: UploadRoom, agent: str, file: int, answer: int) -> None:
    """A request that keeps its file, if there is room for it, until its answer is sent."""
    try:
        room.enter(file, agent)
    except Refusal:
        file = 0
    await asyncio.sleep(0)
    taken = await room.enter_answer(answer, agent)
    await asyncio.sleep(0)
    room.leave_answer(taken, agent)
    room.leave(file, agent)


@example([(agent, 4, 4) for agent in "abcd"])
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 4), st.integers(1, 5))))
def test_whatever_requests_hold_while_they_wait_all_of_them_end(
    requests: list[tuple[str, int, int]],
) -> None:
    async def all_end() -> bool:
        room = UploadRoom(16)
        tasks = [asyncio.create_task(one_request(room, *each)) for each in requests]
        for _ in range(8 + 4 * len(tasks)):
            await asyncio.sleep(0)
        ended = all(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return ended and all([await has_room(room, 4, agent) for agent in "abcdef"])

    assert asyncio.run(all_end())
