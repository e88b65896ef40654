"""
Stateless compiled functions on plain arrays: what `replay` is made of, and any agent can import.

A file a mechanism; import from it: `from kernels.tree import tree_set`.
"""

#: Which distribution this package belongs to; another one installs a package of the same name.
DISTRIBUTION = "replay-kernels"
