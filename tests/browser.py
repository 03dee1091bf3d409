"""A real browser without a screen, for pages that are to be looked at: Chromium through selenium."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "chromium.sh"


@dataclass
class Browser:
    """A running browser.

    Attributes
    ----------
    driver : selenium.webdriver.Chrome
    refused : list of str
        Addresses that a page wanted and its content policy refused, up to the last `requested`.
    """

    driver: Any
    _network: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self.driver.get(url)

    def run(self, script: str) -> Any:
        """What JavaScript of ours in the page returns."""
        return self.driver.execute_script(script)

    def text(self) -> str:
        """What a reader sees of the page."""
        return self.run("return document.body.innerText")

    def wait_for(self, script: str, seconds: float = 20.0) -> None:
        """Wait until an expression holds in the page."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, seconds, poll_frequency=0.1).until(lambda driver: driver.execute_script(f"return Boolean({script})"), script)

    def requested(self) -> list[str]:
        """Addresses that the page has asked the network for so far; those inside the page (data:, blob:) are left out."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._network[message["params"]["requestId"]] = message["params"]["request"]["url"]
            elif message["method"] == "Network.loadingFailed" and message["params"].get("blockedReason") == "csp":
                self.refused.append(self._network.pop(message["params"]["requestId"]))
        return [url for url in self._network.values() if urlsplit(url).scheme in ("http", "https", "ws", "wss", "file")]

    def complaints(self) -> list[str]:
        """Errors in the browser's console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def picture(self, path: Path) -> None:
        """Save what is in the window as PNG."""
        self.driver.save_screenshot(str(path))


@contextmanager
def running_browser(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Browser]:
    """A browser for the length of the block, with a window of so many pixels; skips where there is none."""
    if importlib.util.find_spec("selenium") is None:
        pytest.skip("the package selenium is not installed: pip install -e '.[test]'")
    found = subprocess.run([str(SCRIPT), "which"], capture_output=True, text=True, timeout=20)
    if found.returncode:
        pytest.skip(f"no browser: {found.stderr.strip()}")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    browser, driver = found.stdout.split("\n")[:2]
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    # Root's Chromium has no sandbox; a container's /dev/shm is small; nothing in the background may use the network.
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--no-proxy-server", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={width},{height}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        chrome.set_page_load_timeout(60)
        yield Browser(chrome)
    finally:
        chrome.quit()
