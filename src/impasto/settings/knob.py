"""How a knob is declared: its default, bounds and help, and the roles from which every list of knobs is derived."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo

from impasto.settings.choices import ObjectiveName

UNTOUCHED = "untouched"
"""Stands for no value where a knob may have any: a texture or a reconstruction leaves this knob as it was given."""


class Group(StrEnum):
    """Where a help text or a form shows a knob, in this order."""

    PICTURE = "Picture"
    CONTENT_AND_STYLE = "Content and style"
    REGIONS = "Regions"
    OPTIMISATION = "Optimisation"
    NETWORK = "Network"
    MEMORY = "Memory"


class Affects(StrEnum):
    """The first part of a run that a knob changes; what comes later changes with it.

    `network`: what the network is built from. `targets`: what is measured of the inputs. `objective`: only how what
    was measured is weighted. `descent`: how the pixels descend. `resources`: nothing that a picture shows.
    """

    NETWORK = "network"
    TARGETS = "targets"
    OBJECTIVE = "objective"
    DESCENT = "descent"
    RESOURCES = "resources"


@dataclass(frozen=True)
class Roles:
    """What else there is to know of a knob besides its type and range.

    `scheduled`: it may change while a run goes on. `settled`: a run decides once what 'auto' is, and keeps it when it
    goes on. `file_words`: it names files, unless it says one of these words. `folder`: it names a folder.
    `objective`: the only objective that has it. `usual`: it is one that people turn, which a short help shows.
    `carried`: it says what a picture carries beside its pixels. `in_gatys`: its default where `objective` isn't
    normalized. `in_texture` and `in_reconstruction`: what those set it to. `former`: defaults of before, which
    recipes and workflows of then have where they change nothing.
    """

    group: Group
    affects: Affects = Affects.TARGETS
    scheduled: bool = False
    settled: bool = False
    file_words: tuple[str, ...] | None = None
    folder: bool = False
    objective: ObjectiveName | None = None
    usual: bool = False
    carried: bool = False
    in_gatys: Any = UNTOUCHED
    in_texture: Any = UNTOUCHED
    in_reconstruction: Any = UNTOUCHED
    former: tuple[Any, ...] = ()


def knob(
    default: Any,
    roles: Roles,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    own_check: bool = False,
) -> Any:
    """A field of `Settings`; the roles stand in the JSON schema too.

    Numbers have to be finite, unless the field has its `own_check` of all that it may be.
    """
    bounds: dict[str, Any] = {"ge": ge, "gt": gt, "le": le, "lt": lt, "min_length": min_length}
    if isinstance(default, float) and not own_check:
        bounds["allow_inf_nan"] = False
    usual = Roles(roles.group)
    stated = {"group": roles.group, "affects": roles.affects} | {
        name: value for name, value in vars(roles).items() if value != getattr(usual, name)
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return Field(default, description=help, json_schema_extra=stated, **given)


def default_of(field: FieldInfo, objective: ObjectiveName) -> Any:
    """A knob's default under an objective: the paper's own is `in_gatys` where that differs."""
    theirs = roles_of(field).in_gatys
    return theirs if objective is not ObjectiveName.NORMALIZED and theirs != UNTOUCHED else field.default


def roles_of(field: FieldInfo) -> Roles:
    """The roles that a field was declared with."""
    assert isinstance(field.json_schema_extra, dict), "every knob is declared by `knob`"
    return Roles(**field.json_schema_extra)  # pyright: ignore[reportArgumentType]
