"""The hub's application: every room's routes on one app, and the parts they share."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

from dizuo import __version__
from dizuo.access import api as access_api
from dizuo.access import service as access
from dizuo.access.http import install_error_handler, secret_of
from dizuo.access.model import Principal, Surface
from dizuo.artifacts.layout import Layout
from dizuo.audit import api as audit_api
from dizuo.database.engine import Database
from dizuo.datasets import api as datasets_api
from dizuo.hub import home
from dizuo.hub.settings import HubSettings
from dizuo.improvements import api as improvements_api
from dizuo.improvements import workflow
from dizuo.improvements.service import Improver
from dizuo.releases import api as releases_api
from dizuo.releases.repository import Repository
from dizuo.runs import api as runs_api
from dizuo.runs.supervisor import Supervisor
from dizuo.sites import api as sites_api
from dizuo.sites import edge_api
from dizuo.stacks import api as stacks_api

_ROUTERS = (
    access_api.router,
    audit_api.router,
    datasets_api.router,
    stacks_api.router,
    runs_api.router,
    releases_api.router,
    sites_api.router,
    improvements_api.router,
    edge_api.router,
)
_FRESHNESS_SECONDS = 3600.0
_logger = logging.getLogger(__name__)
