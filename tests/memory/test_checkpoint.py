"""Snapshots: everything comes back, damage is refused, and a crash leaves the old file."""

import json
import os
import random

import numpy as np
import pytest

import replay
from kernels import handle as words
from replay.memory import checkpoint
from replay.memory.layout import PAGE
from tests.homes import (
    FIELDS,
    HOMES,
    SAMPLERS,
    assert_rows,
    block_bytes,
    fewer,
    fresh_name,
    home_of,
    opened,
    refused,
    row,
    rows,
)


def fill(buffer, sampler):
    buffer.extend(**rows(range(33)))
    buffer.writer(1).extend(**rows(range(5)))
    buffer.sample(6)
    if sampler.prioritized:
        buffer.update_priorities(np.array([8, 10, 3]), np.array([0.5, 0.0, 7.0]))


@pytest.fixture
def sampler():
    return SAMPLERS["buffer"]


@pytest.fixture
def snapshot(tmp_path, sampler):
    path = tmp_path / "snapshot"
    with opened("private", 14, FIELDS, sampler=sampler, streams=2, seed=5) as buffer:
        fill(buffer, sampler)
        buffer.save(path)
    return path


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("kind", SAMPLERS)
def test_everything_comes_back_and_the_draws_go_on(home, kind, tmp_path):
    sampler = SAMPLERS[kind]
    path = tmp_path / "snapshot"
    options = {"sampler": sampler, "streams": 2}
    with (
        opened(home, 14, FIELDS, **options, seed=5) as buffer,
        opened(home, 14, FIELDS, **options, seed=77) as other,
    ):
        fill(buffer, sampler)
        buffer.save(path)
        stats = buffer.stats()
        other.extend(**rows(range(50)))
        other.restore(path)
        loaded = replay.load(path, name=fresh_name() if home == "named" else None)
        with loaded:
            for again in (other, loaded):
                assert again.stats() == stats
                assert again.fields == buffer.fields
                assert (again.sampler, again.streams, again.capacity) == (sampler, 2, 14)
                if sampler.prioritized:
                    assert again.priorities.verify() == 0
                    mine, theirs = again.priorities, buffer.priorities
                    assert mine.priorities().tolist() == theirs.priorities().tolist()
            for _ in range(3):
                batches = [each.sample(9) for each in (buffer, other, loaded)]
                for one in batches[1:]:
                    for mine, theirs in zip(one, batches[0], strict=True):
                        np.testing.assert_array_equal(mine, theirs)
                ids = [each.add(**row(99)) for each in (buffer, other, loaded)]
                assert ids[0] == ids[1] == ids[2]


def test_the_file_is_what_a_stock_safetensors_reader_reads(snapshot, sampler):
    content = snapshot.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__")
    widths = {"BOOL": 1, "U8": 1, "I64": 8, "F32": 4}
    end = 0
    for tensor in sorted(header.values(), key=lambda tensor: tensor["data_offsets"]):
        first, after = tensor["data_offsets"]
        assert first == end, "no gap, no overlap"
        end = after
        assert after - first == np.prod(tensor["shape"]) * widths[tensor["dtype"]]
    assert 8 + size + end == len(content)
    place = header["column/image"]
    first, after = (8 + size + offset for offset in place["data_offsets"])
    image = np.frombuffer(content[first:after], np.uint8).reshape(place["shape"])
    with replay.load(snapshot) as buffer:
        np.testing.assert_array_equal(image, buffer.column("image"))


def test_a_damaged_byte_anywhere_is_refused(snapshot, sampler):
    content = bytearray(snapshot.read_bytes())
    with opened("private", 14, FIELDS, sampler=sampler, streams=2) as buffer:
        buffer.add(**row(1))
        # The ready line's spare words are of no meaning: neither summed nor taken over.
        ready = PAGE + words.READY * 64
        spare = {*range(ready + 8, ready + 16), *range(ready + 24, ready + 64)}
        places = [place for place in range(len(content)) if place not in spare]
        chosen = random.Random(2).sample(places, fewer(250, 80))
        for place in [*chosen, 0, 8, PAGE - 1, ready, ready + 16, ready + 64, len(content) - 1]:
            flip = 1 << place % 8
            content[place] ^= flip
            snapshot.write_bytes(content)
            with refused(buffer, replay.BlockFormatError, snapshot):
                buffer.restore(snapshot)
            content[place] ^= flip
        snapshot.write_bytes(content)
        buffer.restore(snapshot)
        whole = block_bytes(buffer)
        for place in sorted(spare):
            content[place] ^= 0xFF
            snapshot.write_bytes(content)
            buffer.restore(snapshot)
            assert block_bytes(buffer) == whole
            content[place] ^= 0xFF


def test_a_truncated_snapshot_is_refused(snapshot, sampler):
    content = snapshot.read_bytes()
    with opened("private", 14, FIELDS, sampler=sampler, streams=2) as buffer:
        for end in (0, 5, PAGE, len(content) // 2, len(content) - 1):
            snapshot.write_bytes(content[:end])
            with refused(buffer, replay.BlockFormatError, snapshot):
                buffer.restore(snapshot)
            with pytest.raises(replay.BlockFormatError):
                replay.load(snapshot)


def test_a_snapshot_of_another_buffer_is_refused(snapshot, sampler):
    other = SAMPLERS["batch"]
    for capacity, fields, options in (
        (16, FIELDS, {"sampler": sampler, "streams": 2}),
        (14, FIELDS, {"sampler": sampler, "streams": 7}),
        (14, FIELDS, {"sampler": other, "streams": 2}),
        (14, {"x": int}, {"sampler": sampler, "streams": 2}),
    ):
        with (
            opened("private", capacity, fields, **options) as buffer,
            refused(buffer, replay.BlockFormatError, "another buffer", snapshot),
        ):
            buffer.restore(snapshot)


def test_a_missing_snapshot_is_refused(tmp_path):
    with opened("private", 5, FIELDS) as buffer:
        with refused(buffer, replay.BlockMissingError, "none"):
            buffer.restore(tmp_path / "none")
        with refused(buffer, replay.BlockError, tmp_path):
            buffer.restore(tmp_path)
    with pytest.raises(replay.BlockMissingError, match="none"):
        replay.load(tmp_path / "none")


def test_a_block_in_use_is_no_snapshot(tmp_path):
    path = tmp_path / "block"
    with replay.ReplayBuffer(5, FIELDS, path=path) as buffer:
        buffer.add(**row(1))
        with pytest.raises(replay.BlockFormatError, match="no snapshot"):
            replay.load(path)


def test_a_buffer_that_knows_no_fields_takes_them_from_the_snapshot(snapshot, sampler, tmp_path):
    with replay.ReplayBuffer(14, sampler=sampler, streams=2) as buffer:
        buffer.restore(snapshot)
        assert list(buffer.fields) == list(FIELDS)
        batch = buffer.sample(20)
        known = batch.ids % 2 == 0
        assert_rows({name: batch[name][known] for name in FIELDS}, batch.ids[known] // 2)
    for capacity in (14, 16):
        content = bytearray(snapshot.read_bytes())
        content[-1] ^= 1
        (tmp_path / "damaged").write_bytes(content)
        path = tmp_path / f"block of {capacity}"
        with replay.ReplayBuffer(capacity, sampler=sampler, streams=2, path=path) as buffer:
            with pytest.raises(replay.BlockFormatError):
                buffer.restore(tmp_path / "damaged")
            assert buffer.fields == {}
            assert not path.exists()
            assert buffer.add(x=1) == 0


def test_saving_replaces_the_old_file_and_leaves_no_other(snapshot, sampler):
    with replay.load(snapshot) as buffer:
        buffer.clear()
        buffer.save(snapshot)
    with replay.load(snapshot) as buffer:
        assert len(buffer) == 0
    assert os.listdir(snapshot.parent) == [snapshot.name]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_file(snapshot, monkeypatch, error):
    before = snapshot.read_bytes()

    def fail(_):
        raise error

    with replay.load(snapshot) as buffer:
        buffer.clear()
        monkeypatch.setattr(checkpoint.os, "fsync", fail)
        with pytest.raises(replay.BlockError if isinstance(error, OSError) else KeyboardInterrupt):
            buffer.save(snapshot)
    assert snapshot.read_bytes() == before
    assert os.listdir(snapshot.parent) == [snapshot.name]


def test_a_save_to_nowhere_is_refused(tmp_path):
    with opened("private", 5, FIELDS) as buffer:
        for path in (tmp_path / "none" / "file", tmp_path, ""):
            with refused(buffer, replay.BlockError, "cannot be written"):
                buffer.save(path)
    assert not os.listdir(tmp_path)


def test_a_buffer_is_not_saved_over_its_own_file(tmp_path):
    path = tmp_path / "block"
    with replay.ReplayBuffer(5, FIELDS, path=path) as buffer:
        buffer.add(**row(1))
        with refused(buffer, replay.BlockError, "block"):
            buffer.save(path)
        with pytest.raises(replay.BlockFormatError):
            buffer.restore(path)
        buffer.add(**row(2))
    with replay.attach(path=path) as buffer:
        assert len(buffer) == 2


def test_a_snapshot_can_be_attached_as_a_file(snapshot):
    with replay.attach(path=snapshot) as buffer:
        assert len(buffer) == 12
        buffer.add(**row(1))
    with replay.attach(path=snapshot) as buffer:
        assert buffer.stats()["added"] == 39


def test_a_loaded_buffer_may_take_a_name(snapshot):
    with home_of("named") as place, replay.load(snapshot, **place) as buffer:
        with replay.attach(**place) as other:
            assert other.stats() == buffer.stats()
        with pytest.raises(replay.BlockExistsError):
            replay.load(snapshot, **place)
