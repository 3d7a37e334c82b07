"""The asynchronous forms."""

from __future__ import annotations

import asyncio
import time

import pytest

import imgroup
from imgroup import Client
from imgroup.testing import Emulator


def test_calls_run_side_by_side(alice: Emulator, imgroup_client: Client) -> None:
    async def main() -> None:
        assert (await imgroup_client.add_lists_async("alice", ["News"], ["bob"])).friends[0].ok
        assert (await imgroup_client.delete_lists_async("alice", ["News"], ignore_missing=True)).sequence == 2
        reply = await imgroup_client.request_async(
            "v4/sns/friend_get", {"From_Account": "alice", "StartIndex": 0}
        )
        assert reply.raw["FriendNum"] == 1
        alice.fault("delay", delay_ms=300, times=20)
        began = time.monotonic()
        results = await asyncio.gather(*(imgroup_client.get_lists_async("alice") for _ in range(20)))
        assert time.monotonic() - began < 3
        assert {result.names for result in results} == {("Family", "Work")}
        with pytest.raises(imgroup.NotFound):
            await imgroup_client.get_lists_async("mallory")
        with pytest.raises(TypeError):
            await imgroup_client.get_lists_async("alice", "Work")

    asyncio.run(main())


def test_cancelling_the_task_cancels_the_call(alice: Emulator, imgroup_client: Client) -> None:
    async def main() -> None:
        alice.fault("silence", times=100)
        began = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(imgroup_client.delete_lists_async("alice", ["Work"]), 0.1)
        assert time.monotonic() - began < 2
        task = asyncio.create_task(imgroup_client.delete_lists_async("alice", ["Work"]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # More than run at once: those that wait for a thread are cancelled too.
        tasks = [asyncio.create_task(imgroup_client.get_lists_async("alice")) for _ in range(80)]
        await asyncio.sleep(0.3)
        for waiting in tasks:
            waiting.cancel()
        began = time.monotonic()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - began < 2
        assert all(isinstance(error, asyncio.CancelledError) for error in done)
        with pytest.raises(imgroup.DeadlineExceeded):
            await imgroup_client.delete_lists_async("alice", ["Work"], timeout=0.1)
        assert imgroup_client._busy == 0

    asyncio.run(main())


def test_a_block_of_its_own(alice: Emulator) -> None:
    async def main() -> None:
        async with alice.client() as client:
            assert (await client.get_lists_async("alice")).names == ("Family", "Work")
        assert client.closed
        with pytest.raises(imgroup.Cancelled):
            await client.get_lists_async("alice")

    asyncio.run(main())
