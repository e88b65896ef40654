"""
Tables of figures, in Markdown, and their places in a page of the docs.

A table stands in a page between two marks, `<!-- name -->` and `<!-- end -->`; what is measured
anew takes the place of what stood there.
"""

import re


def table(head, lines):
    """
    Write a table.

    Parameters
    ----------
    head : sequence of str
    lines : sequence of sequence
        Numbers are written with three digits.

    Returns
    -------
    str
    """
    written = [
        [cell if isinstance(cell, str) else digits(cell) for cell in line] for line in lines
    ]
    rules = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rules, *written))


def digits(number):
    """Write a number with three digits, as a person would: 0.123, 12.3, 12,345."""
    if isinstance(number, int) or number >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number >= 1e-3 or number == 0 else f"{number:.0e}"


def replaced(page, name, text):
    """
    Put a text in the place of a name in a page.

    Parameters
    ----------
    page : str
    name : str
    text : str

    Returns
    -------
    str

    Raises
    ------
    ValueError
        The page has no such place.
    """
    place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"the page has no place for {name!r}")
    return place.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page, count=1)


def replace(path, texts):
    """Put texts, by name, in their places in the page at a path."""
    page = path.read_text()
    for name, text in texts.items():
        page = replaced(page, name, text)
    path.write_text(page)


def duration(nanoseconds):
    """Write a time with its unit and three digits."""
    for unit in ("ns", "µs", "ms"):
        if nanoseconds < 1000:
            return f"{nanoseconds:.3g} {unit}"
        nanoseconds /= 1000
    return f"{nanoseconds:.3g} s"
