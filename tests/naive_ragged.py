"""What kernels.ragged does, in plain Python."""


def offsets(lengths, longest):
    """Say where each row begins, and where the last one ends."""
    found = [0]
    for length in lengths:
        found.append(found[-1] + min(max(length, 0), longest))
    return found


def packed(rows, lengths):
    """Put the beginnings of rows behind each other."""
    made = []
    for row, length in zip(rows, lengths, strict=True):
        made += row[: max(length, 0)]
    return made
