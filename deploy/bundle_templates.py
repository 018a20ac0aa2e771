"""How the bundle's texts are filled in: a name that is not there is an error."""

from importlib import resources
from typing import Any


def filled_in(template: str, values: dict[str, Any]) -> str:
    """Return a template of ``deploy/snippets`` with ``values`` filled in.

    Args:
        template: its file name.
        values: by name; jinja2 raises on one that is missing, which is a defect of ours.
    """
    import jinja2

    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # code and Markdown, no HTML
    )
    text = (resources.files("deploy") / "snippets" / template).read_text(encoding="utf-8")
    return str(environment.from_string(text).render(**values))
