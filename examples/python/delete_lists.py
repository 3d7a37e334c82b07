"""Deletes friend lists of an account: delete_lists.py ACCOUNT NAME...

Where to, and with which key, stands in IMGROUP_SDKAPPID, IMGROUP_IDENTIFIER,
IMGROUP_SECRET_KEY and IMGROUP_REGION or IMGROUP_ENDPOINT.
"""

import sys

from imgroup import Client, ImGroupError


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    account, names = sys.argv[1], sys.argv[2:]
    try:
        with Client.from_env() as client:
            result = client.delete_lists(account, names)
    except ImGroupError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"deleted {len(names)} lists of {account}, now at sequence {result.sequence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
