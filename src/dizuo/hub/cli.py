"""`dizuo up`: start the hub."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from dizuo.cli.output import console
from dizuo.hub import home
from dizuo.hub.app import create_app
from dizuo.hub.settings import HubSettings
