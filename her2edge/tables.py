"""Text in CSV cells that no spreadsheet takes for a formula (OWASP, CSV injection)."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def defused(text: str) -> str:
    """`text`, led by a quote where it would begin as a formula does."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def restored(cell: str) -> str:
    """The text that was `defused`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
