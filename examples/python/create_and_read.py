"""Creates a friend list with friends in it, and reads all lists:
create_and_read.py ACCOUNT NAME [FRIEND...]"""

import sys

from imgroup import Client, ImGroupError


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    account, name, friends = sys.argv[1], sys.argv[2], sys.argv[3:]
    try:
        with Client.from_env() as client:
            added = client.add_lists(account, [name], friends)
            # The list exists all the same; only these friends are not in it.
            for friend in added.failed:
                print(f"{friend.account} is not in it: {friend.code} {friend.info}")
            for entry in client.get_lists(account, with_members=True).lists:
                print(f"{entry.name}: {', '.join(entry.members) or 'nobody'}")
    except ImGroupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
