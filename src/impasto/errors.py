"""The errors impasto raises: each message is one sentence that names the value, the fault and the cure."""


class ImpastoError(Exception):
    """Anything that went wrong for a reason the user can act on."""


class SettingsError(ImpastoError):
    """A knob has a value it can't take, or two knobs contradict each other."""


class ImageError(ImpastoError):
    """A picture could not be read or written."""


class WeightsError(ImpastoError):
    """Network weights are missing, damaged or of the wrong kind."""


class DivergedError(ImpastoError):
    """The loss or its gradient stopped being finite; `picture` is the last good one, (1, 3, h, w) in [0, 1]."""

    def __init__(self, message: str, picture: object) -> None:
        super().__init__(message)
        self.picture = picture
