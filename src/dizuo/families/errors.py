"""What can go wrong with models and layers, in every family."""

from __future__ import annotations

from dizuo.core.errors import DizuoError, IntegrityError, InvalidInput, NotFound


class UnknownFamily(NotFound):
    """No installed package offers this family."""

    code = "unknown_family"


class FamilyMissing(InvalidInput):
    """It is not said of which family something is, and nothing that exists tells."""

    code = "family_missing"


class UnknownStack(NotFound):
    """This engine does not serve a stack of that name."""

    code = "unknown_model"


class LayerRefused(IntegrityError):
    """A layer does not fit the base, the preprocessing or the engine it was to run on."""

    code = "layer_refused"


class ModelRefused(InvalidInput):
    """A model directory that cannot become a layer."""

    code = "model_refused"


class ContextOverflow(InvalidInput):
    """A prompt has more tokens than the model reads at once."""

    code = "context_length_exceeded"


class GenerationFailed(DizuoError):
    """The engine could not write an answer."""

    code = "generation_failed"
