"""How weights lie in memory: the numbers that packing and the tiles agree on.

A tile is 16 output rows; rows are padded with zeros to whole tiles. Inputs come in groups of 32 (quantised) or are
padded to a multiple of 16 (floats). Inside a tile step follows step, so a multiplication reads memory once, forwards.
A step's weights come first, then its 16 scales (and minimums) as halves, so that every load is a whole cache line and
the processor sees one stream: groups of Q4_1 are five lines; of Q4_0, Q5_0 and Q8_0 two groups make a pair, their
scales in one line behind the weights of both. (Scales behind all weights of a tile halved the speed of Q8_0 from
memory.) A super-block of Q4_K, Q5_K or Q6_K is eight groups behind the numbers that they share; nothing of the file's
own scales is rounded, so a packed matrix stands for exactly what the file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TILE_ROWS: Final = 16
GROUP: Final = 32
SUPER: Final = 8
"""Groups of a super-block."""
PLANE_BYTES: Final = 64
"""One group of rounded activations: 32 high bytes, then 32 low bytes; `q = 16 * high + low`, both signed."""
META_BYTES: Final = 16
"""What belongs to such a group: scale, scale x sum(q), and, as int32, 8 x sum(q) and 128 x sum(q)."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to store weights."""

    name: str
    code: int
    """How compiled code knows it."""
    block_bytes: int
    """Bytes of one block of `block` weights in a GGUF file."""
    block: int
    step: int
    """Inputs per step of a tile: 32 for a quantised group, 1 for floats."""
    bytes_per_step: int
    """Bytes of one step of a packed tile, or of `together` steps."""
    together: int = 1
    """Steps that stand together: 2 make a pair, 8 a super-block. An odd last one of a pair is padded."""

    @property
    def paired(self) -> bool:
        """Two steps stand together."""
        return self.together == 2

    @property
    def shared(self) -> bool:
        """Eight steps share a scale, and have small whole numbers of their own to multiply it with."""
        return self.together == SUPER

    @property
    def quantized(self) -> bool:
        """Its activations are rounded; a float format's are not."""
        return self.step == GROUP

    def padded_cols(self, cols: int) -> int:
        """Inputs including the padding: what a row of activations must have."""
        return cols if self.quantized else -(-cols // 16) * 16

    def tile_bytes(self, cols: int) -> int:
        """Bytes of 16 packed rows.

        >>> FORMATS["Q4_1"].tile_bytes(64), FORMATS["F32"].tile_bytes(1)
        (640, 1024)
        """
        steps = self.padded_cols(cols) // self.step
        return -(-steps // self.together) * self.bytes_per_step

    def packed_bytes(self, rows: int, cols: int) -> int:
        """Bytes of a whole packed matrix."""
        return -(-rows // TILE_ROWS) * self.tile_bytes(cols)

    def raw_bytes(self, rows: int, cols: int) -> int:
        """Bytes of the same matrix in a GGUF file."""
        return rows * cols // self.block * self.block_bytes

    def activation_bytes(self, cols: int) -> int:
        """Bytes of one row of activations in the form this format multiplies with."""
        return record_bytes(cols) if self.quantized else self.padded_cols(cols) * 4


def record_bytes(cols: int) -> int:
    """Bytes of one row of rounded activations: the planes of all its groups, then their meta, in whole cache lines.

    Never a multiple of 4,096: sixteen rows that are read side by side would fall on the same lines of the cache.

    >>> record_bytes(576), record_bytes(4096)
    (1472, 10240)
    """
    groups = -(-cols // GROUP)
    size = -(-groups * (PLANE_BYTES + META_BYTES) // 64) * 64
    return size + 64 if size % 4096 == 0 else size


Q4_0, Q4_1, Q8_0, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, F16, F32, BF16 = range(11)
"""Every format before F16 multiplies rounded activations."""

SHARED_BYTES: Final = 320
"""In front of a super-block: 16 scales and 16 negated minimums as halves, then for each group 16 small scales and 16
small minimums as bytes (Q4_K, Q5_K); or 16 scales as halves, 32 bytes of nothing, then 2 x 16 small signed scales a
group (Q6_K)."""

FORMATS: Final = {
    one.name: one
    for one in (
        Format("Q4_0", Q4_0, block_bytes=18, block=32, step=GROUP, bytes_per_step=2 * (256 + 32), together=2),
        Format("Q4_1", Q4_1, block_bytes=20, block=32, step=GROUP, bytes_per_step=256 + 64),
        Format("Q8_0", Q8_0, block_bytes=34, block=32, step=GROUP, bytes_per_step=2 * (512 + 32), together=2),
        Format("Q5_0", Q5_0, block_bytes=22, block=32, step=GROUP, bytes_per_step=2 * (320 + 32), together=2),
        Format("Q5_1", Q5_1, block_bytes=24, block=32, step=GROUP, bytes_per_step=320 + 64),
        Format("Q4_K", Q4_K, block_bytes=144, block=256, step=GROUP, bytes_per_step=SHARED_BYTES + 8 * 256, together=8),
        Format("Q5_K", Q5_K, block_bytes=176, block=256, step=GROUP, bytes_per_step=SHARED_BYTES + 8 * 320, together=8),
        Format("Q6_K", Q6_K, block_bytes=210, block=256, step=GROUP, bytes_per_step=SHARED_BYTES + 8 * 384, together=8),
        Format("F16", F16, block_bytes=2, block=1, step=1, bytes_per_step=32),
        Format("F32", F32, block_bytes=4, block=1, step=1, bytes_per_step=64),
        Format("BF16", BF16, block_bytes=2, block=1, step=1, bytes_per_step=32),
    )
}
"""Every format the kernels multiply with, by its GGUF name."""

WEIGHT_BYTES: Final = {
    "Q4_0": 256,
    "Q4_1": 256,
    "Q8_0": 512,
    "Q5_0": 320,
    "Q5_1": 320,
    "Q4_K": 256,
    "Q5_K": 320,
    "Q6_K": 384,
}
"""Of one packed step, its scales aside: nibbles, behind them a plane of fifth bits (64) or of fifth and sixth (128)."""
OFFSETS: Final = {"Q4_0": 8, "Q4_1": 0, "Q8_0": 128, "Q5_0": 16, "Q5_1": 0, "Q4_K": 0, "Q5_K": 0, "Q6_K": 32}
"""What packed weights are above the numbers they stand for."""
