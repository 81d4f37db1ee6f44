"""Configuration of the documentation site: `make docs` builds it into docs/_build/html."""

import importlib.util
import os
import sys

sys.path[:0] = [os.path.abspath(".."), os.path.abspath("extensions")]

import fastsoftmax
from fastsoftmax.datasets._sources import FASHION_MNIST, find_folder

project = "fastsoftmax"
author = "The fastsoftmax developers"
copyright = author
version = release = fastsoftmax.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "typeset",
    "breaks",
    "pictures",
]
html_math_renderer = "mathml"
exclude_patterns = ["_build", "auto_examples/**.ipynb", "auto_examples/**.py"]
# PyTorch is too large to be installed for its pages alone: without it they are left out.
if importlib.util.find_spec("torch") is None:
    exclude_patterns.append("api_torch.rst")
    print("the pages of fastsoftmax.torch are left out: PyTorch is not installed")
templates_path = ["_templates"]
default_role = (
    "py:obj"  # docstrings write `name` for parameters and for what they refer to
)

repository = "https://github.com/fastsoftmax/fastsoftmax"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_substitutions = {"version": version}
myst_heading_anchors = 3

toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings say more, in words
numpydoc_show_class_members = False  # the templates list them with their docstrings
numpydoc_use_plots = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

os.environ["FASTSOFTMAX_PICTURES"] = ""  # sphinx-gallery keeps the pictures itself
# Without the files of Fashion-MNIST the page of tutorial 2 has its text and code, and no output.
HAS_CLOTHES = find_folder(FASHION_MNIST) is not None
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_" if HAS_CLOTHES else r"/plot_(?!2_)",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": (),  # what a tutorial wants to show, it prints
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "image_scrapers": ("matplotlib",),
    "thumbnail_size": (400, 280),
}
suppress_warnings = [
    "config.cache",  # sphinx-gallery keeps what cannot be pickled
    "toc.excluded",  # the pages of PyTorch
]

html_theme = "furo"
html_title = "fastsoftmax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "source_repository": repository,
    "source_branch": "main",
    "source_directory": "docs/",
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def say_that_there_is_no_output(app, docname, source):
    """Say at the end of tutorial 2's page why it has no output."""
    if docname == "auto_examples/plot_2_fashion_mnist" and not HAS_CLOTHES:
        source[0] += (
            "\n\n.. note::\n\n   This page was built without Fashion-MNIST, and so without the script's output "
            "and pictures: FASTSOFTMAX_DATA names the folder of the files.\n"
        )


def setup(app):
    """Register with Sphinx."""
    app.connect("source-read", say_that_there_is_no_output)
