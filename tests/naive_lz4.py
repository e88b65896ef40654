"""The LZ4 block format in plain Python, written from its description, for kernels.lz4."""


def _length(block, at, value):
    """Read a length whose part in the token is 15, and give where the rest of the block is."""
    while value >= 15:
        value += block[at]
        at += 1
        if block[at - 1] != 255:
            break
    return value, at


def unpack(block, wanted, dictionary=b""):
    """Restore a row, or give None where the block is unsound or is not of so many bytes."""
    row = bytearray(dictionary)
    wanted += len(dictionary)
    at = 0
    try:
        while True:
            token = block[at]
            literals, at = _length(block, at + 1, token >> 4)
            if literals > len(block) - at:
                return None
            row += block[at : at + literals]
            at += literals
            if at == len(block):
                return bytes(row[len(dictionary) :]) if len(row) == wanted else None
            offset = block[at] + 256 * block[at + 1]
            length, at = _length(block, at + 2, token & 15)
            length += 4
            if not 0 < offset <= len(row) or length > wanted - len(row):
                return None
            for _ in range(length):
                row.append(row[-offset])
    except IndexError:
        return None


def ends_as_it_must(block, size):
    """Tell whether a row's last 5 bytes are literals, and no match begins in its last 12."""
    at = put = 0
    begin = end = -1
    while True:
        token = block[at]
        literals, at = _length(block, at + 1, token >> 4)
        at += literals
        put += literals
        if at == len(block):
            return end < 0 or (put == size and end <= size - 5 and begin <= size - 12)
        length, at = _length(block, at + 2, token & 15)
        begin, end = put, put + length + 4
        put = end


def _rest(value):
    """Write what a token's 15 leaves of a length."""
    return b"" if value < 15 else b"\xff" * ((value - 15) // 255) + bytes([(value - 15) % 255])


def pack(sequences, dictionary=b""):
    """Write a block of (literals, offset, length), the last without a match; give the row too."""
    block, row = bytearray(), bytearray(dictionary)
    for literals, offset, length in sequences:
        row += literals
        short = length - 4 if offset else 0
        block.append(min(len(literals), 15) << 4 | min(short, 15))
        block += _rest(len(literals)) + literals
        if offset:
            block += offset.to_bytes(2, "little") + _rest(short)
            for _ in range(length):
                row.append(row[-offset])
    return bytes(block), bytes(row[len(dictionary) :])
