"""How weights lie in memory: the numbers that packing and the tiles agree on.

A tile is 16 output rows; rows are padded with zeros to whole tiles. Inputs come in groups of 32 (quantised) or are
padded to a multiple of 16 (floats). Inside a tile step follows step, so a multiplication reads memory once, forwards.
A step's weights come first, then its 16 scales (and minimums) as halves, so that every load is a whole cache line and
the processor sees one stream: groups of Q4_1 are five lines; of Q4_0 and Q8_0 two groups make a pair, their scales in
one line behind the weights of both. (Scales behind all weights of a tile halved the speed of Q8_0 from memory.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TILE_ROWS: Final = 16
GROUP: Final = 32
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
    """Bytes of one step of a packed tile, or of one pair of steps."""
    paired: bool = False
    """Two steps stand together; an odd last one is padded."""

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
        return (-(-steps // 2) if self.paired else steps) * self.bytes_per_step

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


Q4_0, Q4_1, Q8_0, F16, F32 = range(5)

FORMATS: Final = {
    one.name: one
    for one in (
        Format("Q4_0", Q4_0, block_bytes=18, block=32, step=GROUP, bytes_per_step=576, paired=True),
        Format("Q4_1", Q4_1, block_bytes=20, block=32, step=GROUP, bytes_per_step=320),
        Format("Q8_0", Q8_0, block_bytes=34, block=32, step=GROUP, bytes_per_step=1088, paired=True),
        Format("F16", F16, block_bytes=2, block=1, step=1, bytes_per_step=32),
        Format("F32", F32, block_bytes=4, block=1, step=1, bytes_per_step=64),
    )
}
"""Every format the kernels multiply with, by its GGUF name."""
