"""`browser`: a real Chromium, one a session, as narrow as a small phone. `site`: the HTTP gateway on a port of loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.services.install import ensure
from tests.services.ports import HOST, free_ports
from tests.services.until import until
from tests.services.web import Web, web_in

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    ensure(["chromium", "chromium-driver"])
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = Chrome(options=options, service=ChromeService("/usr/bin/chromedriver"))
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    yield driver
    driver.quit()


@dataclass(frozen=True)
class Site:
    """The gateway, and where a browser finds it."""

    web: Web
    url: str


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    web, port = web_in(tmp_path), free_ports()
    server = uvicorn.Server(uvicorn.Config(web.app, port=port, lifespan="off", ws="none", log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        until(lambda: server.started, "it listens")
        yield Site(web, f"http://{HOST}:{port}")
    finally:
        server.should_exit = True
        thread.join()
        asyncio.run(web.close())
