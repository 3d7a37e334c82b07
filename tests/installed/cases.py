"""tests/cases.json for programs in C and C++: writes it as a table that they
include, and compares what they print with what is expected. See tests/cases.md.
"""

import base64
import json


def literal(value):
    """A C string of these bytes; NULL for none."""
    if value is None:
        return "0"
    data = value if isinstance(value, bytes) else value.encode()
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in data) + '"'


def include(table, ready):
    """The text of cases.inc, for emulators with these ready lines."""
    arrays, rows = [], []

    def array(number, member, texts):
        if not texts:
            return "0, 0"
        name = f"{member}_{number}"
        arrays.append(f"static const char *const {name}[] = {{{', '.join(map(literal, texts))}}};")
        return f"{name}, {len(texts)}"

    for number, case in enumerate(table["cases"]):
        client = dict(table["app"], **case.get("client", {}))
        call = case["call"]
        if call["function"] == "usersig":
            client.update((name, call[name]) for name in ("sdkappid", "identifier", "secret_key"))
        line = ready[tuple(case.get("emulator", []))]
        for name in ("endpoint", "ca_file"):
            if name in client:
                client[name] = client[name].format(**line)
        body = call["body"].encode() if "body" in call else None
        userbuf = base64.b64decode(call["userbuf"]) if call.get("userbuf") is not None else None
        rows.append("  {" + ", ".join([
            literal(case["name"]), f"{client['sdkappid']}u", literal(client["identifier"]), literal(client["secret_key"]),
            literal(client.get("endpoint")), literal(client.get("ca_file")), str(client.get("max_attempts", "UNSET")),
            str(client.get("attempt_timeout_ms", "UNSET")), str(client.get("quota_callback", "UNSET")),
            literal(call["function"]), literal(call.get("account")), literal(call.get("command")), literal(body),
            literal(userbuf), array(number, "names", call.get("names")), array(number, "friends", call.get("friends")),
            str(len(body or b"")), str(len(userbuf or b"")), str(int(call.get("with_members", False))),
            str(int(call.get("idempotent", False))), f"{call.get('ttl_s', 0)}u", str(call.get("issued_at", 0)),
            str(call.get("timeout_ms", "UNSET")), str(int(call.get("ignore_missing", False))),
            literal(call.get("cancel", "")), literal(call.get("shutdown", "")),
        ]) + "},")
    return "\n".join([*arrays, "static const struct test_case cases[] = {", *rows, "};", ""])


def differences(expect, found):
    """What a program printed, against what was expected."""
    for name, value in expect.items():
        if name == "message_has":
            if value not in found.get("message", ""):
                yield f"message: {found.get('message')!r} does not hold {value!r}"
        elif found.get(name, "nothing") != value:
            yield f"{name}: {found.get(name, 'nothing')!r}, not {value!r}"


def run_all(table, emulators, run):
    """Runs every case; gives a line for each that went wrong. `run` takes a number
    and the emulator, and gives what the program printed."""
    wrong = []
    for number, case in enumerate(table["cases"]):
        emulator = emulators[tuple(case.get("emulator", []))]
        for order in table.get("before", []) + case.get("control", []):
            emulator.control(order["method"], order["path"], order.get("body"))
        found = json.loads(run(number, emulator))
        problems = list(differences(case["expect"], found))
        if "lists_left" in case:
            left = emulator.control("GET", "/_emulator/state")["accounts"]["alice"]["lists"]
            if left != case["lists_left"]:
                problems.append(f"lists left: {left!r}, not {case['lists_left']!r}")
        wrong += [f"{case['name']}: {problem}" for problem in problems]
    return wrong
