"""The frame of every page of ours: one file, light or dark as the reader has it, that may fetch nothing."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

STYLE: Final = Path(__file__).with_name("report.css")
POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, body: str) -> str:
    """The whole page.

    Args:
        title: as text; it is escaped here.
        body: HTML, in which every text from outside is escaped already.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="generator" content="everyframe">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE.read_text()}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
