"""What can go wrong with sites and rollouts."""

from __future__ import annotations

from dizuo.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated


class JoinTokenUnknown(Unauthenticated):
    """This hub never issued that join token."""

    code = "join_token_unknown"


class JoinTokenUsed(Conflict):
    """A join token lets one site in, once."""

    code = "join_token_used"


class JoinTokenExpired(Forbidden):
    """The join token's time is over."""

    code = "join_token_expired"


class SiteNameTaken(Conflict):
    """Another site of this project has that name."""

    code = "site_name_taken"


class SiteNotFound(NotFound):
    """There is no such site."""

    code = "site_not_found"


class NoSites(InvalidInput):
    """A rollout to nobody."""

    code = "no_sites"


class NoSiteTarget(Conflict):
    """The stack has no form that a site can run, or several to choose from."""

    code = "no_site_target"


class DirectionBlocked(Conflict):
    """The set that a site would be directed to holds a stack that is no longer signed."""

    code = "direction_blocked"


class RolloutNotFound(NotFound):
    """There is no such rollout."""

    code = "rollout_not_found"


class RolloutKeyReused(Conflict):
    """The key belongs to another rollout."""

    code = "rollout_key_reused"
