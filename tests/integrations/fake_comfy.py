"""The part of ComfyUI that a V3 node sees, with the signatures that ComfyUI 0.3 to today's has (comfy_api.v0_0_2).

`comfy_api` is on no registry, so this stands for it: names, parameters and their order, what `Schema` refuses, and how
a node is run (`INPUT_TYPES`, `EXECUTE_NORMALIZED`) are ComfyUI's, written anew; an argument that ComfyUI doesn't know
is a TypeError here too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import torch


class Interrupted(Exception):  # noqa: N818
    """comfy.model_management.InterruptProcessingException."""


class Input:
    io_type = ""

    def __init__(
        self, id: str, display_name: Any = None, optional: bool = False, tooltip: Any = None, lazy: Any = None,
        extra_dict: Any = None, raw_link: Any = None,
    ) -> None:  # fmt: skip
        self.id, self.optional = id, optional
        self.shown = {"display_name": display_name, "tooltip": tooltip, "lazy": lazy, "rawLink": raw_link}
        self.shown |= extra_dict or {}

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in self.shown.items() if value is not None}


class WidgetInput(Input):
    def __init__(
        self, id: str, display_name: Any = None, optional: bool = False, tooltip: Any = None, lazy: Any = None,
        default: Any = None, socketless: Any = None, force_input: Any = None, extra_dict: Any = None,
        raw_link: Any = None, **own: Any,
    ) -> None:  # fmt: skip
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, raw_link)
        self.shown |= {"default": default, "socketless": socketless, "forceInput": force_input} | own


class Output:
    def __init__(
        self, id: Any = None, display_name: Any = None, tooltip: Any = None, is_output_list: bool = False
    ) -> None:
        self.id, self.display_name = id, display_name


def comfy_type(name: str, *own: str, linked: bool = False) -> Any:
    """A type such as io.Int: the parameters of its Input are those of every widget and its `own`."""

    class TypesInput(Input if linked else WidgetInput):
        io_type = name

        def __init__(self, id: str, *given: Any, **named: Any) -> None:
            common = {"display_name", "optional", "tooltip", "lazy", "extra_dict", "raw_link"}
            if not linked:
                common |= {"default", "socketless", "force_input", *own}
            if unknown := named.keys() - common:
                raise TypeError(f"{name}.Input() got an unexpected keyword argument {sorted(unknown)}")
            super().__init__(id, *given, **named)

    class TypesOutput(Output):
        io_type = name

    return type(name, (), {"Input": TypesInput, "Output": TypesOutput, "io_type": name})


@dataclass
class Schema:
    node_id: str
    display_name: Any = None
    category: str = "sd"
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    hidden: list[Any] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False

    def validate(self) -> None:
        for kind in (self.inputs, self.outputs):
            ids = [one.id for one in kind if one.id is not None]
            if len(set(ids)) != len(ids):
                raise ValueError(f"ids must be unique: {ids}")


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None, expand: Any = None, block_execution: Any = None) -> None:
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution


class ComfyNode:
    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def execute(cls, **given: Any) -> NodeOutput:
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> Schema:  # noqa: N802
        schema = cls.define_schema()
        schema.validate()
        return schema

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:  # noqa: N802
        found: dict[str, dict[str, Any]] = {"required": {}}
        for one in cls.GET_SCHEMA().inputs:
            found.setdefault("optional" if one.optional else "required", {})[one.id] = (one.io_type, one.as_dict())
        return found

    @classmethod
    def EXECUTE_NORMALIZED(cls, **given: Any) -> NodeOutput:  # noqa: N802
        return cls.execute(**given)


class ComfyExtension:
    async def on_load(self) -> None:
        pass

    async def get_node_list(self) -> list[type[ComfyNode]]:
        raise NotImplementedError


class Host:
    """A ComfyUI: what nodes told its progress bar, and the memory that it says is free."""

    def __init__(self) -> None:
        self.free = 4_000_000_000
        self.reserved = 400_000_000
        self.unloaded = 0
        self.interrupt_at: float | None = None
        """The share of the bar at which its user presses Cancel."""
        self.updates: list[tuple[float, float]] = []
        self.previews: list[tuple[str, Any, int]] = []
        self.on_unload: Callable[[], None] = lambda: None

    def _interrupted(self) -> bool:
        done = self.updates[-1] if self.updates else (0, 1)
        return self.interrupt_at is not None and done[0] / done[1] >= self.interrupt_at

    def _throw(self) -> None:
        if self._interrupted():
            self.interrupt_at = None
            raise Interrupted

    def _unload(self) -> None:
        self.unloaded += 1
        self.on_unload()

    def install(self, monkeypatch: Any) -> None:
        """Put its modules where nodes import them from."""
        host = self

        class ProgressBar:
            def __init__(self, total: int, node_id: Any = None) -> None:
                self.total, self.current = total, 0

            def update_absolute(self, value: int, total: Any = None, preview: Any = None) -> None:
                self.current = min(value, self.total)
                host.updates.append((self.current, self.total))
                if preview is not None:
                    kind, image, side = preview  # as latent_preview makes them
                    host.previews.append((kind, image, side))

        integer = comfy_type("INT", "min", "max", "step", "control_after_generate", "display_mode")
        number = comfy_type("FLOAT", "min", "max", "step", "round", "display_mode")
        io = SimpleNamespace(
            ComfyNode=ComfyNode, Schema=Schema, NodeOutput=NodeOutput, Int=integer, Float=number,
            Boolean=comfy_type("BOOLEAN", "label_on", "label_off"),
            String=comfy_type("STRING", "multiline", "placeholder", "dynamic_prompts"),
            Combo=comfy_type("COMBO", "options", "control_after_generate", "upload", "image_folder", "remote"),
            Image=comfy_type("IMAGE", linked=True), Mask=comfy_type("MASK", linked=True),
            Custom=lambda name: comfy_type(name, linked=True),
        )  # fmt: skip
        management = self._module(
            "comfy.model_management", InterruptProcessingException=Interrupted,
            throw_exception_if_processing_interrupted=self._throw, get_torch_device=lambda: torch.device("cpu"),
            intermediate_device=lambda: torch.device("cpu"), get_free_memory=lambda device: self.free,
            extra_reserved_memory=lambda: self.reserved, unload_all_models=self._unload,
            soft_empty_cache=lambda: None,
        )  # fmt: skip
        utils = self._module("comfy.utils", ProgressBar=ProgressBar)
        comfy = self._module("comfy", model_management=management, utils=utils, __path__=[])
        pinned = self._module("comfy_api.v0_0_2", io=io, ComfyExtension=ComfyExtension)
        api = self._module("comfy_api", v0_0_2=pinned, __path__=[])
        for module in (comfy, management, utils, api, pinned):
            monkeypatch.setitem(sys.modules, module.__name__, module)

    @staticmethod
    def _module(name: str, **names: Any) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(names)
        return made
