"""Blocks of memory that describe themselves, and what lies in them."""

from replay.memory.block import Block, unlink
from replay.memory.fields import Field, Schema
from replay.memory.layout import Layout
from replay.memory.parse import learn_schema, parse_schema
from replay.memory.priority_tree import PriorityTree
from replay.memory.ring import Handle, Ring

__all__ = [
    "Block",
    "Field",
    "Handle",
    "Layout",
    "PriorityTree",
    "Ring",
    "Schema",
    "learn_schema",
    "parse_schema",
    "unlink",
]
