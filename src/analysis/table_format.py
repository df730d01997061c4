"""A table of text that can be written as Markdown, LaTeX (booktabs), HTML and CSV."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "≥": r"$\geq$",
}


@dataclass
class Table:
    """Rows of text under headings; the first `labels` columns name a row, the others hold its numbers.

    `rule_before`: numbers of the rows before which a line is drawn. `notes`: sentences below the table. `texts`:
    columns of words, left aligned and broken into lines where they are long.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    labels: int = 1
    rule_before: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table with its title and notes in GitHub's Markdown."""
        cells = [[_markdown(cell) for cell in row] for row in [self.columns, *self.rows]]
        aligns = ["---:" if kind == "n" else "---" for kind in self._kinds()]
        lines = ["| " + " | ".join(row) + " |" for row in [cells[0], aligns, *cells[1:]]]
        notes = ["", *(f"* {note}" for note in self.notes)] if self.notes else []
        return "\n".join([f"**{self.title}**", "", *lines, *notes]) + "\n"

    def latex(self) -> str:
        """Return a LaTeX table for the package booktabs, caption above, notes below in small type."""
        head = " & ".join(_latex(column) for column in self.columns) + r" \\"
        body = []
        for number, row in enumerate(self.rows):
            if number in self.rule_before:
                body.append(r"\midrule")
            body.append(" & ".join(_latex(cell) for cell in row) + r" \\")
        aligns = "".join({"n": "r", "t": "p{3.2cm}", "": "l"}[kind] for kind in self._kinds())
        notes = [r"\par\smallskip\footnotesize " + " ".join(_latex(note) for note in self.notes)] if self.notes else []
        return "\n".join(
            [
                "% needs \\usepackage{booktabs}",
                r"\begin{table}[tb]",
                r"\centering",
                rf"\caption{{{_latex(self.title)}}}",
                rf"\label{{tab:{self.name}}}",
                rf"\begin{{tabular}}{{{aligns}}}",
                r"\toprule",
                head,
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
                *notes,
                r"\end{table}",
                "",
            ]
        )

    def _kinds(self) -> list[str]:
        """Return "" for a column of labels, "t" for one of words, "n" for one of numbers."""
        named = enumerate(self.columns)
        return ["" if number < self.labels else "t" if name in self.texts else "n" for number, name in named]

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def html(self) -> str:
        """Return the table as HTML in a box that scrolls sideways."""
        kinds = self._kinds()
        head = _row(self.columns, kinds, "th", "")
        rows = [
            _row(row, kinds, "td", ' class="rule"' if number in self.rule_before else "")
            for number, row in enumerate(self.rows)
        ]
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        below = f'<ul class="notes">{notes}</ul>' if notes else ""
        caption = f"<caption>{html.escape(self.title)}</caption>"
        table = f"<table>{caption}<thead>{head}</thead><tbody>\n" + "\n".join(rows) + "</tbody></table>"
        return f'<div class="wide">{table}</div>{below}'


def _row(cells: Sequence[str], kinds: Sequence[str], tag: str, attributes: str) -> str:
    classes = [f' class="{kind}"' if kind else "" for kind in kinds]
    texts = [f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for kind, cell in zip(classes, cells, strict=True)]
    return f"<tr{attributes}>{''.join(texts)}</tr>"


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)
