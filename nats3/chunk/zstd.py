"""One zstd frame out of bytes and back. The only module that knows which zstd library is used.

Everything here is also offered by `compression.zstd` of Python 3.14.
"""

from __future__ import annotations

import zstandard

from nats3.chunk.layout import DecodeError

MAGIC = b"\x28\xb5\x2f\xfd"
MAX_WINDOW = 8 << 20
LEVELS = range(1, 20)

_SINGLE_SEGMENT, _UNUSED, _RESERVED, _CHECKSUM, _DICTIONARY = 0x20, 0x10, 0x08, 0x04, 0x03
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_SHORT_CONTENT_SIZE = 2


class Compressor:
    """Makes frames with content size and checksum, one after the other; belongs to one thread."""

    def __init__(self, level: int) -> None:
        if level not in LEVELS:
            raise ValueError(f"zstd level {level} is outside 1-19")
        self._zstd = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)

    def frame(self, raw: bytes) -> bytes:
        return self._zstd.compress(raw)


class Decompressor:
    """Undoes frames; belongs to one thread."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)

    def raw(self, frame: bytes | memoryview, raw_bytes: int) -> bytes:
        """The content of exactly one frame, which must declare `raw_bytes`. Raises DecodeError before it allocates."""
        check_frame_header(frame, raw_bytes)
        try:
            raw = self._zstd.decompress(frame, max_output_size=raw_bytes, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise DecodeError(f"a frame does not decompress: {error}") from error
        if len(raw) != raw_bytes:
            raise DecodeError(f"a frame holds {len(raw)} bytes and declares {raw_bytes}")
        return raw


def check_frame_header(frame: bytes | memoryview, raw_bytes: int) -> None:
    """Raises DecodeError unless the frame declares a content of `raw_bytes`, a checksum and a window within bounds.

    RFC 8878, section 3.1.1.1. The library's own limit does not hold for frames of a single segment.
    """
    flags = frame[4] if len(frame) > len(MAGIC) else _RESERVED
    if frame[:4] != MAGIC or flags & (_UNUSED | _RESERVED | _DICTIONARY) or not flags & _CHECKSUM:
        raise DecodeError("a frame is no zstd frame with a checksum and without a dictionary")
    single = bool(flags & _SINGLE_SEGMENT)
    size_bytes = _CONTENT_SIZE_BYTES[flags >> 6] or int(single)
    at = 5 if single else 6
    declared = int.from_bytes(frame[at : at + size_bytes], "little")
    if size_bytes == _SHORT_CONTENT_SIZE:
        declared += 256
    if not size_bytes or len(frame) < at + size_bytes or declared != raw_bytes:
        raise DecodeError(f"a frame does not declare the {raw_bytes} bytes that the index says")
    window = raw_bytes if single else _window(frame[5])
    if window > MAX_WINDOW:
        raise DecodeError(f"a frame asks for a window of {window} bytes, more than {MAX_WINDOW}")


def _window(descriptor: int) -> int:
    base = 1 << (10 + (descriptor >> 3))
    return base + base // 8 * (descriptor & 7)
