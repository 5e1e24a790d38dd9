"""Silicon: what this machine's processor can do, and arithmetic that gets it out of it.

Lives here: the processor's measure (`device`, `probe`), kernels in Python that compile to its own instructions
(`kernels`) with their slow twins (`reference`), and the lease by which training makes room for answers (`lease`).
May not enter: models, requests, tenants, anything above (contract "Rooms are stacked").
Begin at `device.py` for the machine, at `kernels/formats.py` and `kernels/steps.py` for the arithmetic.

Importing this room does not import numba (`tests/silicon/test_signs.py`); `kernels` and `probe` do.
"""

from ikkan.silicon.device import (
    Cache,
    DeviceProfile,
    Roofline,
    cache_key,
    cores_allowed,
    instruction_sets,
    load,
    measure,
    roofline,
    save,
)
from ikkan.silicon.lease import DeviceLease, Turn

__all__ = [
    "Cache",
    "DeviceLease",
    "DeviceProfile",
    "Roofline",
    "Turn",
    "cache_key",
    "cores_allowed",
    "instruction_sets",
    "load",
    "measure",
    "roofline",
    "save",
]
