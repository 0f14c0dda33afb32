"""What travels with a picture of a batch to a machine that shares no folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.jobs.executors.executor import Item
from impasto.settings import roles
from impasto.settings.settings import Settings


class Parcel:
    """What travels with an item to a machine that shares no folder: see `executors.executor.Parcel`."""

    def inputs(self, item: Item) -> list[Path]:
        """The content, styles that are no swatches, and what settings name."""
        named = roles.files(Settings(**item["settings"]))
        return [Path(path) for path in (item["content"], *item["styles"], *named) if Path(path).is_file()]

    def output(self, item: Item) -> Path:
        """The picture."""
        return Path(item["output"])

    def moved(self, item: Item, inputs: Mapping[str, str], output: str) -> Item:
        """The item with other paths."""

        def there(path: str) -> str:
            return inputs.get(path, path)

        settings: dict[str, Any] = {
            knob: roles.with_files(knob, value, there) for knob, value in item["settings"].items()
        }
        styles = [there(style) for style in item["styles"]]
        return {"content": there(item["content"]), "styles": styles, "settings": settings, "output": output}

    def told(self, result: Item, inputs: Mapping[str, str]) -> Item:
        """See `executors.executor.Parcel`."""
        error: str = result.get("error") or ""
        for path, copy in inputs.items():
            error = error.replace(copy, path)
        return result | {"error": error} if error else result
