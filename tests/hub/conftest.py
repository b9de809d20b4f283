"""A hub's app over a home, answering in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from dizuo.hub import home as homes
from dizuo.hub.app import attach, create_app, running_hub
from dizuo.hub.settings import HubSettings
from dizuo.releases.keys import init_keys


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The app of a running hub, with every part."""
    home = tmp_path_factory.mktemp("hub") / "home"
    settings = HubSettings(home=home)
    init_keys(home)
    homes.make_folders(home)
    homes.prepare(settings)
    app = create_app(settings)
    with running_hub(settings) as hub:
        attach(app, hub)
        yield app
