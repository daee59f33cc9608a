"""Opens workflows in a running host's frontend, and says what came of them."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testing.browser import Browser

Json = dict[str, Any]
SECONDS = 600


@dataclass(frozen=True)
class Frontend:
    """A running host, and the browser that opens workflows in it."""

    url: str
    browser: Browser
    screenshots: Path
    settings: Json = field(default_factory=dict)

    def open(self, workflows: dict[str, Json], browse: str, **more: Any) -> dict[str, Json]:
        """What came of each workflow, by title, and of the template `browse` opened by hand; check.mjs says what is in it.

        more: `pictures`, titles whose graph alone is painted as well; `search`, words to find nodes by; `nodes`, types to lay
        side by side; `run`, a workflow to run, and values for its widgets.
        """
        task = {"url": self.url, "chromium": str(self.browser.chromium), "modules": str(self.browser.modules),
                "screenshots": str(self.screenshots), "workflows": workflows,
                "settings": self.settings, "browse": {"folder": self.folder_of(browse), "title": browse}, **more}
        command = [str(self.browser.node), str(Path(__file__).with_name("check.mjs"))]
        done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["results"]

    def folder_of(self, title: str) -> str:
        """The pack's folder, under which the frontend lists its templates."""
        return next(folder for folder, titles in self.get("workflow_templates").items() if title in titles)

    def get(self, path: str) -> Json:
        """What the server answers."""
        with urllib.request.urlopen(f"{self.url}/{path}") as answer:
            return json.load(answer)
