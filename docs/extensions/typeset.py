"""Typeset formulas as MathML while the site is built: browsers draw it without scripts, fonts or a network.

The formula of a function stands in plain text in its docstring, for `help()`; on its page of the site the one of
`formulas.FORMULAS` follows the first paragraph.
"""

from docutils import nodes
from formulas import FORMULAS
from latex2mathml.converter import convert


def write_formula(self, node, display):
    """Write a formula to the page."""
    formula = convert(node.astext(), display=display)
    self.body.append(
        f'<div class="formula">{formula}</div>' if display == "block" else formula
    )
    raise nodes.SkipNode


def add_formula(app, what, name, thing, options, lines):
    """Put the formula of a function behind the first paragraph of its docstring."""
    module, _, short = name.rpartition(".")
    if module not in ("fastsoftmax", "fastsoftmax.torch") or short not in FORMULAS:
        return
    end = lines.index("") if "" in lines else len(lines)
    lines[end:end] = ["", ".. math::", "", f"   {FORMULAS[short]}"]


def setup(app):
    """Register with Sphinx."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda self, node: write_formula(self, node, "inline"), None),
        block_renderers=(lambda self, node: write_formula(self, node, "block"), None),
    )
    app.connect(
        "autodoc-process-docstring", add_formula, priority=400
    )  # before numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
