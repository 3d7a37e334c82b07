"""Other people's clients against the emulator.

They were written for the real service, by people who never saw this project:
what works for them here is likely to be right. Prints a table and, as its last
line, how many checks passed and failed.

Started by run.sh, which sets up what it imports. IMGROUP_BIN names the command.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import urllib.parse
import urllib.request

KEY = "c0ffee" * 10 + "0123"
SDKAPPID = 1400000042
ADMIN = "administrator"
HERE = os.path.dirname(os.path.abspath(__file__))

# Some of these clients wait for ever: the whole run has an end.
signal.alarm(180)


class Table:
    """Rows of what was done, what came and what should have."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, client, what, found, expected):
        good = found == expected
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {client:<28} {what:<52} {found if good else ''}".rstrip())
        if not good:
            print(f"      expected {expected!r}\n      found    {found!r}")

    def attempt(self, client, what, call, read, expected):
        """Reads something out of a reply; an exception is a failure like any other."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found = read(call())
        except Exception as error:  # noqa: BLE001
            found = f"{type(error).__name__}: {error}"
        self.check(client, what, found, expected)


@contextlib.contextmanager
def emulator():
    """Runs one with HTTP and HTTPS until the block ends."""
    environment = dict(os.environ, IMGROUP_SECRET_KEY=KEY)
    command = [os.environ["IMGROUP_BIN"], "emulator", "--exit-on-stdin-eof", "--tls", "--sdkappid", str(SDKAPPID), "--admin", ADMIN]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def code(reply):
    return reply["ErrorCode"]


def item_codes(member):
    return lambda reply: [item["ResultCode"] for item in reply[member]]


def lists_and_members(reply):
    return {item["GroupName"]: item.get("To_Account") for item in reply["ResultItem"]}


def tencentcloud_sdk(table, ready):
    """tencentcloud-sdk-python-im, over HTTPS with the emulator's own authority."""
    from tencentcloud_im.tcim_client import FriendObj, SnsItemObj, TCIMClient, UpdateFriendObj

    os.environ["REQUESTS_CA_BUNDLE"] = ready["ca_file"]
    client = TCIMClient(SDKAPPID, KEY, ADMIN, tencent_url=ready["tls_url"] + "/v4")
    name = "tencentcloud-sdk-python-im"

    def row(what, call, read, expected):
        table.attempt(name, what, lambda: call().json(), read, expected)

    row("add_single_user", lambda: client.add_single_user("alice", "Alice", "http://localhost/a.png"), code, 0)
    row("batch_add_users", lambda: client.batch_add_users(["bob", "carol", "dave"]), lambda r: r["FailAccounts"], [])
    row(
        "search_user",
        lambda: client.search_user(["alice", "nobody"]),
        lambda r: [item["AccountStatus"] for item in r["ResultItem"]],
        ["Imported", "NotImported"],
    )
    friends = [FriendObj("bob", "web", "B.", "Work"), FriendObj("carol", "android"), FriendObj("nobody", "ios")]
    row("add_friend", lambda: client.add_friend("alice", friends), item_codes("ResultItem"), [0, 0, 30003])
    row("add_friend again", lambda: client.add_friend("alice", friends[:1]), lambda r: r["Fail_Account"], ["bob"])
    updates = [
        UpdateFriendObj("bob", [SnsItemObj("Tag_SNS_IM_Group", ["Work", "Gym"])]),
        UpdateFriendObj("dave", [SnsItemObj("Tag_SNS_IM_Remark", "x")]),
    ]
    row("update_friend", lambda: client.update_friend("alice", updates), item_codes("ResultItem"), [0, 30001])
    row(
        "add_sns_group",
        lambda: client.add_sns_group("alice", ["Family"], ["carol", "dave"]),
        item_codes("ResultItem"),
        [0, 30001],
    )
    row("add_sns_group without members", lambda: client.add_sns_group("alice", ["Empty"], []), code, 0)
    row("add_sns_group again", lambda: client.add_sns_group("alice", ["Family"], []), code, 30001)
    row(
        "get_sns_group",
        lambda: client.get_sns_group("alice"),
        lists_and_members,
        {"Work": ["bob"], "Gym": ["bob"], "Family": ["carol"], "Empty": []},
    )
    row("get_sns_group by name", lambda: client.get_sns_group("alice", ["Gym"]), lists_and_members, {"Gym": ["bob"]})
    row(
        "get_target_friends",
        lambda: client.get_target_friends("alice", ["bob"], ["Tag_SNS_IM_Remark", "Tag_SNS_IM_Group"]),
        lambda r: [tag["Value"] for tag in r["InfoItem"][0]["SnsProfileItem"]],
        ["B.", ["Work", "Gym"]],
    )
    row(
        "get_friends",
        lambda: client.get_friends("alice"),
        lambda r: [item["To_Account"] for item in r["UserDataItem"]],
        ["bob", "carol"],
    )
    row("delete_sns_group", lambda: client.delete_sns_group("alice", ["Gym", "Empty"]), code, 0)
    row("delete_sns_group: what is left", lambda: client.get_sns_group("alice"), lambda r: sorted(lists_and_members(r)), ["Family", "Work"])
    row("delete_sns_group, unknown account", lambda: client.delete_sns_group("nobody", ["x"]), code, 30003)
    row("delete_sns_group, 33 names", lambda: client.delete_sns_group("alice", [str(n) for n in range(33)]), code, 30001)
    row("delete_friends", lambda: client.delete_friends("alice", ["bob", "dave"]), item_codes("ResultItem"), [0, 31704])
    row("del_user", lambda: client.del_user(["dave", "nobody"]), item_codes("ResultItem"), [0, 70107])

    url = ready["tls_url"] + "/v4"
    wrong = TCIMClient(SDKAPPID, "x" + KEY, ADMIN, tencent_url=url)
    row("with a wrong key", lambda: wrong.get_sns_group("alice"), code, 70009)
    wrong = TCIMClient(SDKAPPID + 1, KEY, ADMIN, tencent_url=url)
    row("with an unknown app", lambda: wrong.get_sns_group("alice"), code, 70020)
    wrong = TCIMClient(SDKAPPID, KEY, "alice", tencent_url=url)
    row("as somebody who is no admin", lambda: wrong.get_sns_group("alice"), code, 60010)
    wrong = TCIMClient(SDKAPPID, KEY, ADMIN, tencent_url=url, expire_time=-10)
    row("with an expired ticket", lambda: wrong.get_sns_group("alice"), code, 70001)
    del os.environ["REQUESTS_CA_BUNDLE"]


def timsdk(table, ready):
    """timsdk, whose host is built in: each request is turned round before it leaves."""
    from timsdk import HttpClient, TimClient

    there = HttpClient.get_url
    HttpClient.get_url = lambda self, path: there(self, path).replace("https://console.tim.qq.com", ready["url"])
    client = TimClient(SDKAPPID, KEY, ADMIN)
    accounts, relations = client.im_open_login_svc, client.sns

    def row(what, call, read, expected):
        table.attempt("timsdk", what, call, read, expected)

    person = {"To_Account": "t-bob", "AddSource": "AddSource_Type_Test", "GroupName": "Work"}
    row("account_import (sends the old Identifier)", lambda: accounts.account_import("t-alice", nick="A"), code, 0)
    row("multiaccount_import", lambda: accounts.im_open_login_svc(["t-bob", "t-carol"]), code, 0)
    # It asks with GET, which the documents do not allow.
    row("account_check (by GET, refused)", lambda: accounts.account_check(["t-alice"]), code, 60002)
    row("friend_add", lambda: relations.friend_add("t-alice", [person]), item_codes("ResultItem"), [0])
    many = [{"To_Account": "t-carol", "AddSource": "AddSource_Type_Test", "GroupName": ["Gym"]}]
    row("friend_import", lambda: relations.friend_import("t-alice", many), item_codes("ResultItem"), [0])
    change = [{"To_Account": "t-carol", "SnsItem": [{"Tag": "Tag_SNS_IM_Remark", "Value": "\u5361"}]}]
    row("friend_update", lambda: relations.friend_update("t-alice", change), item_codes("ResultItem"), [0])
    row(
        "friend_check",
        lambda: relations.friend_check("t-alice", ["t-bob", "t-carol"]),
        lambda r: [item["Relation"] for item in r["InfoItem"]],
        ["CheckResult_Type_BothWay", "CheckResult_Type_AWithB"],
    )
    row("friend_get", lambda: relations.friend_get("t-alice"), lambda r: (r["FriendNum"], r["CompleteFlag"]), (2, 1))
    row("friend_get_list", lambda: relations.friend_get_list("t-alice", ["t-bob"]), item_codes("InfoItem"), [0])
    row(
        "group_add",
        lambda: relations.group_add("t-alice", ["Family"], ["t-bob", "nobody"]),
        lambda r: r["Fail_Account"],
        ["nobody"],
    )
    row("group_delete", lambda: relations.group_delete("t-alice", ["Family", "Work"]), lambda r: r["ErrorInfo"], "0")
    row("black_list_add", lambda: relations.black_list_add("t-alice", ["t-bob"]), item_codes("ResultItem"), [0])
    row(
        "black_list_check",
        lambda: relations.black_list_check("t-bob", ["t-alice"]),
        lambda r: r["BlackListCheckItem"][0]["Relation"],
        "BlackCheckResult_Type_BWithA",
    )
    row(
        "black_list_get",
        lambda: relations.black_list_get("t-alice"),
        lambda r: (len(r["BlackListItem"]), r["CurruentSequence"]),
        (1, 1),
    )
    row("black_list_delete", lambda: relations.black_list_delete("t-alice", ["t-bob"]), item_codes("ResultItem"), [0])
    row("friend_delete", lambda: relations.friend_delete("t-alice", ["t-bob"]), item_codes("ResultItem"), [31704])
    row("friend_delete_all", lambda: relations.friend_delete_all("t-alice"), code, 0)
    row("account_delete", lambda: accounts.account_delete(["t-carol"]), item_codes("ResultItem"), [0])
    row("a command that does not exist here", lambda: client.profile.portrait_get(["t-alice"], ["Tag_Profile_IM_Nick"]), code, 60009)
    wrong = TimClient(SDKAPPID, "x" + KEY, ADMIN)
    row("with a wrong key", lambda: wrong.sns.friend_get("t-alice"), code, 70009)


def ask(ready, ticket, identifier=ADMIN):
    """One request with a ticket that somebody else made."""
    query = {"sdkappid": SDKAPPID, "identifier": identifier, "usersig": ticket, "random": 1, "contenttype": "json"}
    url = ready["url"] + "/v4/sns/group_get?" + urllib.parse.urlencode(query)
    request = urllib.request.Request(url, b'{"From_Account":"alice"}', method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as reply:
        return json.load(reply)


def tickets_by_python(table, ready):
    """tls-sig-api-v2 of PyPI."""
    from TLSSigAPIv2 import TLSSigAPIv2

    api = TLSSigAPIv2(SDKAPPID, KEY)
    rows = [
        ("plain", api.gen_sig(ADMIN), 0),
        ("for a minute", api.gen_sig(ADMIN, 60), 0),
        ("with userbuf", api.gen_sig_with_userbuf(ADMIN, 86400, bytes(range(256))), 0),
        ("with an empty userbuf", api.gen_sig_with_userbuf(ADMIN, 86400, b""), 0),
        ("another user", api.gen_sig("alice"), 70013),
        ("another app", TLSSigAPIv2(SDKAPPID + 1, KEY).gen_sig(ADMIN), 70014),
        ("another key", TLSSigAPIv2(SDKAPPID, "x" + KEY).gen_sig(ADMIN), 70009),
        ("expired", api.gen_sig(ADMIN, -10), 70001),
        ("cut short", api.gen_sig(ADMIN)[:-8], 70003),
    ]
    for what, ticket, expected in rows:
        table.attempt("tls-sig-api-v2 (PyPI)", f"ticket: {what}", lambda ticket=ticket: ask(ready, ticket), code, expected)


def tickets_by_node(table, ready):
    """tls-sig-api-v2 of npm."""
    command = ["node", os.path.join(HERE, "tickets.js"), str(SDKAPPID), ADMIN, KEY]
    tickets = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)
    codes = {"another user": 70013, "another app": 70014, "another key": 70009, "expired": 70001}
    for what, ticket in tickets.items():
        table.attempt("tls-sig-api-v2 (npm)", f"ticket: {what}", lambda ticket=ticket: ask(ready, ticket), code, codes.get(what, 0))


def main():
    table = Table()
    with emulator() as ready:
        for suite in (tencentcloud_sdk, timsdk, tickets_by_python, tickets_by_node):
            try:
                suite(table, ready)
            except Exception as error:  # noqa: BLE001
                table.check(suite.__name__, "runs to its end", f"{type(error).__name__}: {error}", "")
    print(f"\n{table.passed} passed, {table.failed} failed")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
