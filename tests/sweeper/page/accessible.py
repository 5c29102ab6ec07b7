"""Roles, names and contrast of a page by axe-core 4.14.1 (`axe.min.js`, Deque, MPL-2.0, as npm has it)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium import webdriver

_AXE = Path(__file__).with_name("axe.min.js")


def violations(driver: webdriver.Chrome) -> list[str]:
    """What axe-core objects to, a line each: the rule and the first element."""
    driver.execute_script(_AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = driver.execute_async_script(
        "const done = arguments[0]; axe.run({resultTypes: ['violations']}).then((all) => done(all.violations))"
    )
    return [f"{each['id']}: {each['nodes'][0]['html'][:160]} ({len(each['nodes'])})" for each in found]
