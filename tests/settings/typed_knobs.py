"""Knobs are checked by type: pyright reads this (./check), nobody runs it. An ignored line without an error is one."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import impasto

impasto.stylize("photo.jpg", "painting.jpg", size="30cm@300dpi", strength=1, color="keep", scales="auto")
impasto.stylize("photo.jpg", "painting.jpg", sise=512)  # pyright: ignore[reportCallIssue]
impasto.stylize("photo.jpg", "painting.jpg", size=[512])  # pyright: ignore[reportArgumentType]
impasto.stylize("photo.jpg", "painting.jpg", color="kept")  # pyright: ignore[reportArgumentType]
impasto.synthesize("painting.jpg", (512, 512), epochs=3, style_layers=["relu1_1"])
impasto.synthesize("painting.jpg", (512, 512), epoch=3)  # pyright: ignore[reportCallIssue]
impasto.Settings(max_memory="3GB", layer_weights=(1, 2, 3, 4, 5))
impasto.Settings(max_memory=3)  # pyright: ignore[reportArgumentType]

knobs: impasto.Knobs = {"size": 512, "optimizer": "adam"}
job = impasto.Stylization("photo.jpg", ["painting.jpg"], impasto.Settings(**knobs))
job.change(strength=0.8)
job.change(size=256)  # pyright: ignore[reportCallIssue]
