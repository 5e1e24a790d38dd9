"""device (being built)"""
import os
def cores_allowed() -> int:
    return len(os.sched_getaffinity(0))
