"""A delete with requests: a session, which keeps its connection."""

import os
import random

import requests
import worker

URL = os.environ["IMGROUP_ENDPOINT"] + "/v4/sns/group_delete"
PARAMETERS = {
    "sdkappid": os.environ["IMGROUP_SDKAPPID"],
    "identifier": os.environ["IMGROUP_IDENTIFIER"],
    "usersig": os.environ["BENCH_USERSIG"],
    "contenttype": "json",
}
session = requests.Session()
session.verify = os.environ.get("IMGROUP_CA_FILE", True)


def delete_lists(account: str, names: list) -> None:
    reply = session.post(
        URL,
        params={**PARAMETERS, "random": random.randrange(2**32)},
        json={"From_Account": account, "GroupName": names},
        timeout=15,
    )
    reply.raise_for_status()
    said = reply.json()
    if said["ActionStatus"] != "OK" or said["ErrorCode"] != 0:
        raise RuntimeError(said)


worker.run(lambda: delete_lists("alice", ["Family"]))
