"""Blocks of memory that describe themselves, and what lies in them."""

from replay.memory.block import Block, unlink
from replay.memory.fields import Field, Schema
from replay.memory.handle import Handle
from replay.memory.layout import Layout
from replay.memory.limiter import RateLimiter
from replay.memory.owner import Owner
from replay.memory.parse import learn_schema, parse_schema
from replay.memory.priority_tree import PriorityTree
from replay.memory.ragged import Flat, FlatBytes, FlatStr, Padded, PaddedBytes, PaddedStr
from replay.memory.repair import Repaired
from replay.memory.ring import Ring

__all__ = [
    "Block",
    "Field",
    "Flat",
    "FlatBytes",
    "FlatStr",
    "Handle",
    "Layout",
    "Owner",
    "Padded",
    "PaddedBytes",
    "PaddedStr",
    "PriorityTree",
    "RateLimiter",
    "Repaired",
    "Ring",
    "Schema",
    "learn_schema",
    "parse_schema",
    "unlink",
]
