"""Sound and subtitles of a film, carried over as they are where the new container takes them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from impasto.jobs.video.clip import library

SOUND_INSTEAD = {"webm": "libopus", "ogg": "libopus", "mp4": "aac", "mov": "aac", "avi": "libmp3lame", "flv": "aac"}
"""What sound is encoded anew by where a container doesn't take it as it is; else the container's usual one."""


RATES = {"mxf": 48000}
"""Samples a second of all sound in a container."""


class Remuxed:
    """The streams of `source`, but its pictures, in `out`, from `begin` to `end` in seconds of the film.

    Sound that the container can't hold is encoded anew, subtitles that it can't hold are `refused`, by name.
    """

    def __init__(self, source: Any, out: Any, begin: Fraction, end: Fraction) -> None:
        self._source, self._begin, self._end = source, begin, end
        self._copied: dict[int, Any] = {}
        self._encoded: dict[int, Any] = {}
        self.refused: list[str] = []
        if source is None:
            return
        video = source.streams.video[0]
        self._start = Fraction(video.start_time or 0) * video.time_base
        for stream in source.streams:
            if stream.type not in ("audio", "subtitle") or stream.codec_context is None:
                continue
            codec = stream.codec_context.name
            of_another_rate = out.format.name in RATES and stream.codec_context.sample_rate != RATES[out.format.name]
            if _takes(out, codec, stream.type) and not (stream.type == "audio" and of_another_rate):
                self._copied[stream.index] = out.add_stream_from_template(stream)
            elif stream.type == "audio" and (name := self._encoder(out)) is not None:
                usual = 48000 if name == "libopus" else stream.codec_context.sample_rate
                rate = RATES.get(out.format.name, usual)
                self._encoded[stream.index] = out.add_stream(name, rate=rate)
            else:
                self.refused.append(f"the {stream.type} in {codec}")
        for index, made in (self._copied | self._encoded).items():
            language = source.streams[index].metadata.get("language")
            if language:
                made.metadata["language"] = language

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        """Packets with their times from 0 on, in the order in which the film has them."""
        av = library()
        streams = [self._source.streams[index] for index in (*self._copied, *self._encoded)] if self._source else []
        if not streams:
            return
        shift = self._begin + self._start
        try:
            for packet in self._source.demux(streams):
                if packet.pts is None or packet.size == 0:
                    continue
                packet.dts = packet.pts if packet.dts is None else packet.dts
                time = packet.pts * packet.time_base - shift
                before = self._begin > 0 and time + (packet.duration or 0) * packet.time_base <= 0
                if before or time >= self._end - self._begin:  # what lies before 0 prepares a decoder of sound
                    continue
                index = packet.stream.index
                if index in self._copied:
                    ticks = round(shift / packet.time_base)
                    packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
                    packet.stream = self._copied[index]
                    yield time, packet
                else:
                    yield time, self._again(packet, self._encoded[index], shift)
        except av.error.InvalidDataError:
            pass  # as far as it goes, like the pictures
        for stream in self._encoded.values():
            yield self._end - self._begin, stream.encode(None)

    def _again(self, packet: Any, stream: Any, shift: Fraction) -> list[Any]:
        found: list[Any] = []
        for frame in packet.decode():
            if frame.pts is not None:
                frame.pts -= round(shift / frame.time_base)
            found += stream.encode(frame)
        return found

    def _encoder(self, out: Any) -> str | None:
        usual = SOUND_INSTEAD.get(out.format.name, out.default_audio_codec)
        return None if usual in (None, "none") else usual


def _takes(out: Any, codec: str, kind: str) -> bool:
    """Whether a container holds a codec as it is."""
    name = out.format.name
    if kind == "subtitle":
        theirs = {"mp4": ("mov_text",), "mov": ("mov_text",), "webm": ("webvtt",)}
        return codec in theirs[name] if name in theirs else name == "matroska" and codec != "mov_text"
    if name == "mpegts":
        return codec in ("aac", "mp2", "mp3", "ac3")
    return codec in out.supported_codecs or (name == "mov" and codec.startswith("pcm"))
