"""What may be said of a film beside the settings of a photo, in words for the command line and the studio."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from impasto.jobs.video.part import Part, part_of
from impasto.jobs.video.steadiness import Steadiness, steadiness_of


class FilmOptions(BaseModel):
    """Which part of a film is painted, and how steady; as it goes over the wire, times as they were typed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True, coerce_numbers_to_str=True
    )

    quality: str = Field(default="good", max_length=20, description="Steps of a frame: draft, good or best.")
    begin: str | None = Field(
        default=None, alias="from", max_length=30, description="Paint from there on: seconds, or 1:02.5."
    )
    end: str | None = Field(default=None, alias="to", max_length=30, description="Paint up to there.")
    every: int = Field(default=1, description="Paint every Nth frame, each shown as long as N were.")
    passes: int = Field(default=1, description="Go through each shot N times, to and fro: steadier where much moves.")
    flow: str = Field(
        default="dis",
        max_length=20,
        description="How what moves is found: 'dis', optical flow, or 'none': only what is still is held.",
    )

    def check(self) -> None:
        """Raise `SettingsError` for what can't be meant."""
        self.part()
        self.steadiness()

    def part(self) -> Part:
        """Which frames are painted; raises `SettingsError`."""
        return part_of(self.begin, self.end, self.every, None)

    def steadiness(self) -> Steadiness:
        """How steady; raises `SettingsError`."""
        return steadiness_of(self.quality, self.passes, self.flow)


def words(field: str) -> str:
    """What a field means, in a sentence."""
    return FilmOptions.model_fields[field].description or ""
