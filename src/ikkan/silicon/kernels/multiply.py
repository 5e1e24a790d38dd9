"""`x @ W.T` for packed weights, on its own: one parallel region, activations rounded inside it."""

from __future__ import annotations

import numpy as np

from ikkan.silicon.kernels import amx, lanes, steps, team
from ikkan.silicon.kernels.compiled import addressed
from ikkan.silicon.kernels.formats import F16, TILE_ROWS
from ikkan.silicon.kernels.memory import aligned
from ikkan.silicon.kernels.packed import Float32, PackedMatrix
from ikkan.silicon.kernels.tiles import MOST_TOKENS, PATHS, available_paths, table

_chosen = [PATHS.index(available_paths()[0])]


def set_path(path: str | None) -> None:
    """Use one instruction set from now on; `None` means the best this processor has. Every path gives the same bits."""
    found = available_paths()
    assert path is None or path in found, f"this processor has {found}, not {path}"
    _chosen[0] = PATHS.index(path or found[0])


def get_path() -> str:
    """The instruction set in use."""
    return PATHS[_chosen[0]]


def shapes() -> int:
    """What `amx.configure` wants before a multiplication, where the path in use has matrix registers; else 0."""
    return amx.configuration() if get_path() == "amx" else 0


@addressed(2)
def _multiply(block: int, thread: int) -> None:
    """Round the activations, then multiply."""
    threads, tiles, counters, code = (
        lanes.word(block),
        lanes.word(block + 8),
        lanes.word(block + 16),
        lanes.word(block + 24),
    )
    data, rows, cols, n = lanes.word(block + 32), lanes.word(block + 40), lanes.word(block + 48), lanes.word(block + 56)
    x, ready, stride = lanes.word(block + 64), lanes.word(block + 72), lanes.word(block + 80)
    out, shapes = lanes.word(block + 88), lanes.word(block + 96)
    if shapes != 0:
        amx.configure(shapes)
    floats = 1 if code >= F16 else 0
    units = n * steps.groups_of(cols, floats)
    chunk = max(1, units // (4 * threads))
    unit = team.take(counters, chunk)
    while unit < units:
        last = min(unit + chunk, units)
        steps.quantize(unit, last, cols, x, 4 * cols, ready, stride, floats)
        team.finish(counters, last - unit)
        unit = team.take(counters, chunk)
    team.wait(counters, units)
    following = counters + 8 * team.STEP_WORDS
    units = (rows + TILE_ROWS - 1) // TILE_ROWS
    chunk = max(1, units // (8 * threads))
    unit = team.take(following, chunk)
    while unit < units:
        last = min(unit + chunk, units)
        steps.matmul(unit, last, tiles, code, data, rows, cols, n, ready, stride, out, 4 * rows, 0, 0)
        unit = team.take(following, chunk)
    if shapes != 0:
        amx.release()


def matmul(x: Float32, w: PackedMatrix, out: Float32 | None = None) -> Float32:
    """Multiply rows of activations with a packed matrix: `x (n, cols) @ W.T -> (n, rows)`.

    Each result row depends on its own row of `x` only, bit for bit, whatever `n`, the path or the threads. With
    quantised weights the activations are rounded to 12 bits per 32 inputs; with F16 and F32 nothing is rounded.

    >>> from ikkan.silicon.kernels.packed import pack_f32
    >>> matmul(np.float32([[1, 2]]), pack_f32(np.float32([[3, 4], [5, 6], [7, 8]]))).tolist()
    [[11.0, 17.0, 23.0]]
    """
    assert x.ndim == 2 and x.shape[1] == w.cols, (x.shape, w.cols)
    n = x.shape[0]
    x = np.ascontiguousarray(x, dtype=np.float32)
    if out is None:
        out = np.empty((n, w.rows), dtype=np.float32)
    assert out.shape == (n, w.rows) and out.dtype == np.float32 and out.flags.c_contiguous
    if n == 0:
        return out
    stride = w.kind.activation_bytes(w.cols)
    ready = aligned(-(-n // MOST_TOKENS) * MOST_TOKENS * stride)
    counters = aligned(2 * team.STEP_WORDS, np.int64, zero=True)
    tiles = table(get_path(), [w.code])
    places = (x.ctypes.data, ready.ctypes.data, stride, out.ctypes.data, shapes())
    words = (0, tiles, counters.ctypes.data, w.code, w.address, w.rows, w.cols, n, *places)
    team.launch(_multiply, np.array(words, dtype=np.int64), team.get_threads())
    return out
