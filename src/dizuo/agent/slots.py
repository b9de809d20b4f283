"""Which engine answers under which name, and the switch from one generation to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dizuo.agent.engine_host import EngineHost
from dizuo.agent.errors import NotServing
from dizuo.edge.wire import Direction
from dizuo.families.errors import UnknownStack


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests for one name go: the direction it serves and the engine that holds it."""

    direction: Direction
    host: EngineHost

    @property
    def metadata(self) -> dict[str, Any]:
        """What the engine says about the model, as the inference protocol asks for it."""
        return self.host.described[self.direction.served_as]


class Slots:
    """The names served now.

    The whole table is replaced in one assignment on the event loop, so a request sees either the
    old generation or the new one, never a mixture and never nothing.
    """

    def __init__(self) -> None:
        self._routes: Mapping[str, Route] = MappingProxyType({})

    @property
    def routes(self) -> Mapping[str, Route]:
        """Every name served now."""
        return self._routes

    def switch(self, routes: Mapping[str, Route]) -> None:
        """Serve these names from now on, and no others."""
        self._routes = MappingProxyType(dict(routes))

    def route(self, served_as: str) -> Route:
        """Where requests for this name go.

        Raises:
            NotServing: nothing is served yet.
            UnknownStack: other names are served, this one is not.
        """
        route = self._routes.get(served_as)
        if route is not None:
            return route
        if not self._routes:
            raise NotServing(
                "This site serves no model yet.", next_step="Wait for its first update."
            )
        raise UnknownStack(
            f"This site serves no model {served_as[:80]!r}.",
            next_step=f"It serves: {', '.join(sorted(self._routes))}.",
        )

    @property
    def ready(self) -> bool:
        """Whether something is served and every engine could answer now."""
        routes = self._routes.values()
        return bool(routes) and all(route.host.alive for route in routes)
