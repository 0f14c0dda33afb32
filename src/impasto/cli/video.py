"""`impasto video`: a film in the manner of one or more paintings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli import knobs, outputs
from impasto.cli.batch_how import How
from impasto.cli.cluster import Address
from impasto.cli.knobs import OUTPUT, SELDOM
from impasto.cli.weights import fetch_if_missing
from impasto.jobs.video.options import words
from impasto.settings import roles

From = Annotated[
    str | None,
    Parameter(("--from",), metavar="TIME", help=f"{words('begin')} [default: the start]"),
]
To = Annotated[str | None, Parameter(metavar="TIME", help=f"{words('end')} [default: the end]")]
Every = Annotated[int, Parameter(metavar="N", group=SELDOM, help=words("every"))]
Rate = Annotated[
    float | None, Parameter(metavar="X", group=SELDOM, help="Frames a second of a sequence of pictures. [default: 25]")
]
Quality = Annotated[
    str,
    Parameter(
        metavar="NAME",
        help=f"{words('quality')} [default: good]",
    ),
]
Passes = Annotated[
    int,
    Parameter(
        metavar="N",
        group=SELDOM,
        help=f"{words('passes')} [default: 1]",
    ),
]
Flow = Annotated[
    str,
    Parameter(
        metavar="NAME",
        group=SELDOM,
        help=f"{words('flow')} [default: dis]",
    ),
]


def video(
    film: Annotated[
        str, Parameter(metavar="FILM", help="A film, an animation, a folder of pictures, or frame_%04d.png.")
    ],
    style: knobs.Styles,
    /,
    *,
    output: Annotated[
        str,
        Parameter(
            ("--output", "-o"),
            metavar="OUT",
            group=OUTPUT,
            help="A film: .mp4, .webm …, .gif, a folder or frame_%04d.png.",
        ),
    ],
    from_: From = None,
    to: To = None,
    every: Every = 1,
    rate: Rate = None,
    quality: Quality = "good",
    passes: Passes = 1,
    flow: Flow = "dis",
    workers: Annotated[
        int | None,
        Parameter(metavar="N", group=SELDOM, help="Shots painted at once. [default: one a processor, as memory lets]"),
    ] = None,
    executor: Annotated[
        str,
        Parameter(
            metavar="NAME",
            group=SELDOM,
            help="Where shots are painted: 'local', or 'ray' for a cluster that shares folders. [default: local]",
        ),
    ] = "local",
    address: Address = None,
    strip: Annotated[
        Path | None,
        Parameter(metavar="PICTURE", group=SELDOM, help="Also put some of the painted frames on one sheet."),
    ] = None,
    plan: Annotated[bool, Parameter(help="Say what it would take, and paint nothing.")] = False,
    overwrite: knobs.Overwrite = False,
    json: knobs.AsJson = False,
    quiet: knobs.Quiet = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> int:
    """Paint a film in the manner of one or more paintings, with its sound.

    Try: impasto video clip.mp4 mosaic -o painted.mp4 --size 256

    Run again after Ctrl-C or a crash, it goes on where it was, by what is in OUT.film.
    """
    from impasto.cli.video_run import FilmRun
    from impasto.jobs.video.part import part_of
    from impasto.jobs.video.steadiness import steadiness_of

    settings = knobs.from_shell(flags or {}, os.environ, config, preset)
    how = How(workers, executor, address, fetch=False)
    how.check()
    part, steadiness = part_of(from_, to, every, rate), steadiness_of(quality, passes, flow)
    if strip is not None:
        outputs.check_strip(strip, [output, film, *style, *roles.files(settings)], overwrite=overwrite)
    fetch_if_missing(settings.weights, quiet=quiet)
    run = FilmRun(film, tuple(style), settings, output, part, steadiness, how, strip, overwrite=overwrite, quiet=quiet)
    return run.tell_plan(as_json=json) if plan else run.paint(as_json=json)
