"""As usersig.c, with the vendor's generator for Python."""

import os
import resource
import sys

import TLSSigAPIv2


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


api = TLSSigAPIv2.TLSSigAPIv2(int(os.environ["IMGROUP_SDKAPPID"]), os.environ["IMGROUP_SECRET_KEY"])
for line in sys.stdin:
    begin, size = cpu(), 0
    for number in range(int(line)):
        size += len(api.gen_sig(f"user{number}", 15552000))
    print(int((cpu() - begin) * 1e9), size, flush=True)
