"""What to do about each kind of failure: handle_errors.py ACCOUNT NAME"""

import sys

import imgroup


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    account, name = sys.argv[1:]
    try:
        with imgroup.Client.from_env() as client:
            client.add_lists(account, [name])
    except imgroup.ImGroupError as error:
        print(f"{error.error_class}: {advice(error)}")
        # It may have been applied: look before adding once more.
        if error.outcome is imgroup.Outcome.UNKNOWN:
            print("whether the list was created is open; read the lists before repeating")
        print(f"code {error.code}, attempts {error.attempts}, outcome {error.outcome}")
        return 1
    print("created")
    return 0


def advice(error: imgroup.ImGroupError) -> str:
    if isinstance(error, imgroup.InvalidArgument):
        return "correct the argument; the same call will never succeed"
    if isinstance(error, imgroup.NetworkError):
        return "check the network and the endpoint"
    if isinstance(error, imgroup.DeadlineExceeded):
        return "allow more time"
    if isinstance(error, imgroup.Cancelled):
        return "somebody did not want it any more"
    if isinstance(error, imgroup.Throttled):
        return "come back later, less often"
    if isinstance(error, imgroup.AuthError):
        return "check the key, the identifier and the app"
    if isinstance(error, imgroup.NotFound):
        return "import the account first"
    if isinstance(error, imgroup.ServerError):
        return "try again later" if error.retryable else "tell the vendor"
    return "tell an operator of this machine"


if __name__ == "__main__":
    sys.exit(main())
