"""Let long names break after an underscore or a dot, and nowhere else."""

import re

_LONG = 10  # letters that fit anywhere
_NAME = re.compile(r"[A-Za-z_.]+_[A-Za-z_.]*[A-Za-z()]")
_SKIPPED = re.compile(
    r"(<pre.*?</pre>|<script.*?</script>|<title.*?</title>|<[^>]*>)", re.DOTALL
)


def with_breaks(html):
    """Return a page with <wbr> in its long names: not in blocks of code, tags or scripts."""
    parts = _SKIPPED.split(html)
    for number in range(0, len(parts), 2):
        parts[number] = _NAME.sub(_break, parts[number])
    return "".join(parts)


def _break(match):
    name = match[0]
    return (
        name if len(name) <= _LONG else re.sub(r"(?<=[_.])(?=[A-Za-z])", "<wbr>", name)
    )


def break_names(app, page, template, context, doctree):
    """Do so in the text of a page, in the list of pages and in the list of its sections."""
    for part in ("body", "toc", "furo_navigation_tree"):
        if context.get(part):
            context[part] = with_breaks(context[part])


def setup(app):
    """Register with Sphinx, after the theme."""
    app.connect("html-page-context", break_names, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
