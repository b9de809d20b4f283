"""Where an update's bytes and their proof come from: the hub's metadata and its registry.

Everything here blocks and is called from a thread.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from dizuo.agent.home import Enrolment
from dizuo.artifacts.fetch import RegistrySource, fetch_stack
from dizuo.artifacts.layout import Layout
from dizuo.core.progress import Progress
from dizuo.edge.trust import SignedStack, TrustStore
from dizuo.edge.tuf_fetcher import HttpFetcher
from dizuo.edge.wire import DesiredState, Direction


class Supplies:
    """Verifies directions and brings in what they name.

    Args:
        client: has the hub's address and the site's registry credential.
        trust: what the site trusts.
        layout: where blobs go.
        enrolment: whose project the stacks are of.
    """

    def __init__(
        self, client: httpx2.Client, trust: TrustStore, layout: Layout, enrolment: Enrolment
    ) -> None:
        self._client = client
        self._trust = trust
        self._layout = layout
        self._project = enrolment.project

    def verify(self, desired: DesiredState) -> dict[str, SignedStack]:
        """Every direction of a desired state against fresh signed metadata, by the name it is
        served under. Nothing is fetched until all of them hold.

        Raises:
            TrustRefused: a direction is not signed, or the metadata cannot be trusted.
            TrustUnreachable: the metadata cannot be had now.
        """
        if desired.stacks:
            self._trust.refresh(HttpFetcher(self._client))
        return {
            direction.served_as: self._trust.verify(direction, self._project)
            for direction in desired.stacks
        }

    def fetch(
        self, direction: Direction, signed: SignedStack, count: Callable[[int], None]
    ) -> None:
        """Bring in what the layout lacks of one verified direction.

        Args:
            direction: what to fetch.
            signed: what its signature vouches for.
            count: told the bytes that came over the wire, as they come, whether or not it ends
                well.

        Raises:
            DizuoError: as `dizuo.artifacts.fetch.fetch_stack`.
        """
        counted = 0

        def report(progress: Progress) -> None:
            nonlocal counted
            so_far = int((progress.metrics or {}).get("bytes_fetched", 0))
            count(so_far - counted)
            counted = so_far

        source = RegistrySource(self._client, f"{self._project}/{direction.name}")
        fetch_stack(
            source,
            self._layout,
            signed.digest,
            signed.size_bytes,
            direction.target,
            report=report,
        )
