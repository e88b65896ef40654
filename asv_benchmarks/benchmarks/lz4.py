"""kernels.lz4: packing rows and restoring them."""

import numpy as np

from kernels.addresses import address_of
from kernels.jit import kernel
from kernels.lz4 import MARGIN, lz4_unpack
from kernels.lz4_pack import LEARNED_WORDS, TABLE_WORDS, lz4_learn, lz4_pack

from . import Timed

#: Rows that take turns, and how often each has one: milliseconds read as microseconds.
ROWS = 250
TURNS = 4
SIDE = 84
WORDS = 40


def images(count: int, seed: int) -> np.ndarray:
    """Draw pictures of one background, each with sprites at places of its own."""
    lines = np.random.default_rng(1).integers(0, 9, (SIDE // 6, SIDE // 12), np.uint8)
    background = np.kron(lines, np.ones((6, 12), np.uint8))
    sprites = np.random.default_rng(2).integers(0, 256, (12, 7, 7), np.uint8)
    generator = np.random.default_rng(seed)
    drawn = np.repeat(background[None], count, axis=0)
    for picture in drawn:
        for sprite in sprites:
            y, x = generator.integers(0, SIDE - 7, 2)
            picture[y : y + 7, x : x + 7] = sprite
    return drawn.reshape(count, -1)


def texts(count: int, seed: int) -> np.ndarray:
    """Write lines of words, a few of them frequent."""
    words = np.random.default_rng(3).integers(97, 123, (WORDS, 6), np.uint8)
    generator = np.random.default_rng(seed)
    return words[generator.zipf(1.5, (count, 100)) % WORDS].reshape(count, -1)


@kernel
def pack_all(
    rows: np.ndarray,
    blocks: np.ndarray,
    sizes: np.ndarray,
    table: np.ndarray,
    learned: np.ndarray,
    turns: int,
) -> None:
    for _ in range(turns):
        for row in range(sizes.size):
            source = address_of(rows) + row * rows.shape[1]
            to = address_of(blocks) + row * blocks.shape[1]
            most = blocks.shape[1] - MARGIN
            known = address_of(learned)
            sizes[row] = lz4_pack(source, rows.shape[1], to, most, address_of(table), known)


@kernel
def unpack_all(
    blocks: np.ndarray, sizes: np.ndarray, rows: np.ndarray, dictionary: np.ndarray, turns: int
) -> int:
    sound = 0
    known = address_of(dictionary)
    for _ in range(turns):
        for row in range(sizes.size):
            source = address_of(blocks) + row * blocks.shape[1]
            to = address_of(rows) + row * rows.shape[1]
            sound += lz4_unpack(source, sizes[row], to, rows.shape[1], known, dictionary.size)
    return sound


class Rows(Timed):
    """A thousand rows; a dictionary is of four more."""

    params = (["image", "text"], [0, 4])
    param_names = ("row", "dictionary")

    def setup(self, row: str, dictionary: int) -> None:
        draw = images if row == "image" else texts
        self.rows = draw(ROWS, 4)
        self.dictionary = draw(4, 5)[:dictionary].reshape(-1)
        self.blocks = np.zeros((ROWS, 2 * self.rows.shape[1] + MARGIN), np.uint8)
        self.sizes = np.zeros(ROWS, np.int64)
        self.table = np.zeros(TABLE_WORDS, np.int64)
        self.learned = np.zeros(LEARNED_WORDS, np.int64)
        self.restored = np.zeros_like(self.rows)
        lz4_learn(self.dictionary.ctypes.data, self.dictionary.size, self.learned.ctypes.data)
        self.time_pack(row, dictionary)
        self.time_unpack(row, dictionary)

    def time_pack(self, row: str, dictionary: int) -> None:
        pack_all(self.rows, self.blocks, self.sizes, self.table, self.learned, TURNS)

    def time_unpack(self, row: str, dictionary: int) -> None:
        unpack_all(self.blocks, self.sizes, self.restored, self.dictionary, TURNS)

    def track_bytes(self, row: str, dictionary: int) -> float:
        """Say how many bytes a block takes."""
        return float(self.sizes.mean())

    track_bytes.unit = "bytes/row"  # type: ignore[attr-defined]
