"""Pages in which a part between two marks is made from records."""

__all__ = ["END", "between"]

END = "<!-- end -->"


def between(text: str, begin: str, made: str) -> str:
    r"""A page with another text between its two marks.

    Args:
        text: The page as it is.
        begin: The first mark; the second is :data:`END`.
        made: The lines between them.

    Returns:
        The page as it should be.

    Example:
        >>> between("a\n<!-- x -->\nold\n<!-- end -->\nb", "<!-- x -->", "new")
        'a\n<!-- x -->\nnew\n<!-- end -->\nb'
    """
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n{made}\n{END}{after}"
