"""How to test a program of yours without the service: pytest use_emulator.py

The fixtures come with the imgroup package.
"""

from typing import List

import pytest

import imgroup
from imgroup.testing import Emulator


def tidy_up(client: imgroup.Client, account: str) -> List[str]:
    """The program under test: deletes the lists of an account that are empty."""
    empty = [entry.name for entry in client.get_lists(account).lists if not entry.friend_count]
    if empty:
        client.delete_lists(account, empty)
    return empty


def test_empty_lists_go(imgroup_emulator: Emulator, imgroup_client: imgroup.Client) -> None:
    imgroup_emulator.seed({"alice": ["Family", "Work"]}, friends={"alice": ["bob"]})
    imgroup_client.add_lists("alice", ["Friends"], ["bob"])
    assert tidy_up(imgroup_client, "alice") == ["Family", "Work"]
    assert imgroup_emulator.lists("alice") == ["Friends"]
    assert imgroup_emulator.count("group_delete") == 1


def test_a_lost_reply_does_no_harm(imgroup_emulator: Emulator, imgroup_client: imgroup.Client) -> None:
    imgroup_emulator.seed({"alice": ["Family"]})
    imgroup_emulator.fault("hang_up", command="group_delete", when="after")
    assert tidy_up(imgroup_client, "alice") == ["Family"]
    assert imgroup_emulator.lists("alice") == []


def test_a_service_that_is_down_is_reported(
    imgroup_emulator: Emulator, imgroup_client: imgroup.Client
) -> None:
    imgroup_emulator.seed({"alice": ["Family"]})
    imgroup_emulator.fault("http", status=503, times=9)
    with pytest.raises(imgroup.ServerError) as caught:
        tidy_up(imgroup_client, "alice")
    assert caught.value.http_status == 503
