"""A buffer behind PyTorch's DataLoader: its workers are processes that draw from it."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

import replay
from tests.homes import fresh_name

BATCHES = 12
ROWS = 50


class Batches(IterableDataset):
    """Batches that each worker draws by itself, and whose priorities it updates."""

    def __init__(self, buffer):
        self.buffer = buffer

    def __iter__(self):
        for _ in range(BATCHES):
            batch = self.buffer.sample(16)
            assert self.buffer.update_priorities(batch.ids, 1.0 + np.arange(16)) == 16
            yield {name: torch.from_numpy(batch[name].copy()) for name in ("x", "square", "ids")}


class Rows(Dataset):
    """The stored rows, one by one."""

    def __init__(self, buffer):
        self.buffer = buffer

    def __len__(self):
        return len(self.buffer)

    def __getitem__(self, slot):
        return int(self.buffer.column("x")[slot])


@pytest.fixture(params=["named", "path"])
def buffer(request, tmp_path):
    place = {"name": fresh_name()} if request.param == "named" else {"path": tmp_path / "block"}
    fields = {"x": np.int64, "square": np.float32}
    with replay.ReplayBuffer(100, fields, sampler=replay.Proportional(), **place) as buffer:
        x = np.arange(ROWS)
        buffer.extend(x=x, square=x**2)
        yield buffer


# Where Python warns of a fork beside threads, PyTorch forks all the same.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_draw_whole_rows_and_update_priorities(buffer, method):
    loader = DataLoader(
        Batches(buffer), batch_size=None, num_workers=2, multiprocessing_context=method
    )
    batches = list(loader)
    assert len(batches) == 2 * BATCHES
    for batch in batches:
        assert torch.equal(batch["square"], batch["x"].float() ** 2)
        assert torch.equal(batch["x"], batch["ids"])
    # Each draw is its own: the workers share one generator, and neither repeats the other.
    assert len({tuple(batch["ids"].tolist()) for batch in batches}) == 2 * BATCHES
    assert buffer.stats()["updated"] == 2 * BATCHES * 16
    assert buffer.priorities.verify() == 0
    assert buffer.add(x=7, square=49.0) == ROWS


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_read_the_rows_one_by_one(buffer):
    loader = DataLoader(Rows(buffer), batch_size=10, num_workers=2, shuffle=True)
    assert sorted(torch.cat(list(loader)).tolist()) == list(range(ROWS))
