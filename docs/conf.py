"""Settings of the documentation, which ``make docs`` builds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from site_pages import api, benchmarks, catalogue, citing, inventories, references, selfcontained, sources  # noqa: E402

import torchlops  # noqa: E402

os.environ.setdefault("MPLBACKEND", "Agg")
project = "torchlops"
author = "The torchlops developers"
copyright = author
version = release = torchlops.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "_templates", "README.md"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # the settings of the gallery hold functions
nitpicky = True
nitpick_ignore = [("py:exc", "torch.linalg.LinAlgError")]  # not in the documentation of torch
nitpick_ignore_regex = [("py:class", r"numpy\._typing\..*")]  # what NumPy's ArrayLike stands for

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_context = {
    "catalogue": [name for family in catalogue.FAMILIES for name in family.names.split()],
    "records": api.records(),
    "without_bases": api.without_bases(),
}
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "expression, extra_repr, name_and_type",  # of every operator, and documented with LinearOperator
}
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Forward", "Adjoint"]
napoleon_use_rtype = False
napoleon_use_ivar = True

intersphinx_mapping = inventories.mapping(HERE)
intersphinx_timeout = 5

copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "abort_on_example_error": True,
    "capture_repr": (),
    "backreferences_dir": "api/backreferences",
    "doc_module": ("torchlops",),
    "download_all_examples": False,
    "first_notebook_cell": '%pip install "torchlops[demo,wavelets,curvelets]" pylops',
    "image_srcset": ["2x"],
    "min_reported_time": 1,
    "plot_gallery": "True",
    "reference_url": {"torchlops": None},
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
    "within_subsection_order": "site_pages.gallery.Order",
}

linkcode_resolve = sources.resolve

html_theme = "pydata_sphinx_theme"
html_title = "torchlops"
html_context = {"default_mode": "auto"}
html_favicon = "_static/logo.svg"
html_logo = "_static/logo.svg"
html_static_path = ["_static"]
html_search_scorer = str(HERE / "_static" / "scorer.js")
html_css_files = ["torchlops.css"]
html_sidebars = {
    page: []
    for page in (
        "start",
        "coming_from_pylops",
        "interoperation",
        "faq",
        "contributing",
        "roadmap",
        "citing",
        "changelog",
        "catalogue/index",
    )
}  # pages without pages below them, and the cards of the catalogue, which take the width
html_theme_options = {
    "logo": {"text": "torchlops", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc", "sourcelink"],
    "show_prev_next": True,
    "show_toc_level": 2,
    "icon_links": [
        {"name": "GitHub", "url": sources.REPOSITORY, "icon": "fa-brands fa-github"},
    ],
}


def setup(app):
    """Write the pages that come from the code before Sphinx reads any."""
    api.write(HERE / "api")
    catalogue.write(HERE / "catalogue")
    benchmarks.write(HERE / "measurements")
    citing.write(HERE / "citation")
    app.connect("autodoc-process-docstring", selfcontained.add_imports, priority=900)  # of what napoleon has made
    app.connect("autodoc-process-bases", api.public_bases)
    app.connect("autodoc-process-signature", api.constructor_signature)
    app.connect("missing-reference", references.resolve)
