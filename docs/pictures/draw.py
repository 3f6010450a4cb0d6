"""`make pictures`: draws docs/pictures/dashboard.svg from the panels of deploy/chart/files/dashboard.json, without data.

The test that holds the picture to the dashboard is tests/house/test_pictures.py.
"""

import json
import textwrap
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
DASHBOARD = HERE.parents[1] / "deploy" / "chart" / "files" / "dashboard.json"
COLUMN, ROW = 40, 32  # pixels; Grafana's grid has 24 columns
GAP = 6
STYLE = """
  .ground { fill: #ffffff } .panel { fill: #f4f5f7; stroke: #c8ccd4 } text { font: 13px sans-serif; fill: #24292f }
  .title { font-weight: bold } .kind { fill: #57606a; font-size: 11px } .query { font: 11px monospace; fill: #0550ae }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .panel { fill: #161b22; stroke: #3d444d } text { fill: #e6edf3 }
    .kind { fill: #9198a1 } .query { fill: #79c0ff }
  }
"""


def main() -> None:
    """Write the picture."""
    (HERE / "dashboard.svg").write_text(draw(json.loads(DASHBOARD.read_text(encoding="utf-8"))), encoding="utf-8")


def draw(dashboard: dict[str, Any]) -> str:
    """Every panel at its place in the grid: its title, its kind, what it is for and what it asks Prometheus."""
    panels = [panel for panel in dashboard["panels"] if "gridPos" in panel]
    width = 24 * COLUMN + GAP
    height = 48 + ROW * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    drawn = "\n".join(_panel(panel) for panel in panels)
    title = escape(f"{dashboard['title']}: the panels of deploy/chart/files/dashboard.json, drawn without data")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="ground" width="{width}" height="{height}"/>\n'
        f'<text class="title" x="{GAP + 4}" y="28">{title}</text>\n{drawn}\n</svg>\n'
    )


def _panel(panel: dict[str, Any]) -> str:
    place = panel["gridPos"]
    x, width = place["x"] * COLUMN + GAP, place["w"] * COLUMN - GAP
    y, height = place["y"] * ROW + 48, place["h"] * ROW - GAP
    letters = width // 7
    about = [("kind", line) for line in textwrap.wrap(panel.get("description", ""), letters)]
    asked = [
        ("query", line)
        for target in panel.get("targets", [])
        for line in textwrap.wrap(target.get("expr", ""), letters, break_on_hyphens=False)
    ]
    heads = [("title", line) for line in textwrap.wrap(panel["title"], width // 9)]
    lines = [*heads, ("kind", panel["type"]), *about, *asked][: int((height - 10) // 17)]
    texts = "".join(
        f'<text class="{kind}" x="{x + 10}" y="{y + 20 + 17 * number}">{escape(line)}</text>'
        for number, (kind, line) in enumerate(lines)
    )
    return f'<rect class="panel" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>{texts}'


if __name__ == "__main__":
    main()
