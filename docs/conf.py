"""Configuration of the documentation site: `make docs` builds it into docs/_build/html."""

import os
import sys

sys.path.insert(0, os.path.abspath(".."))

import fastsoftmax

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
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.py"]
templates_path = ["_templates"]
default_role = "py:obj"  # docstrings write `name` for parameters and for what they refer to

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings say more, in words
numpydoc_show_class_members = False  # the templates list them with their docstrings
numpydoc_use_plots = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
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
suppress_warnings = ["config.cache"]  # sphinx-gallery keeps what cannot be pickled

html_theme = "furo"
html_title = "fastsoftmax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "native"
