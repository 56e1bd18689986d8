"""Changes inside of binary files, whose lengths and checksums are made to fit again, so that a reader gets past them."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from tests.fuzz.guided.mutators import Mutator, Raw

_BLOCK = 512
_LIMIT = 1 << 20  # of what is unpacked here
INTEGERS = (0, 1, 2, 4, 7, 8, 15, 16, 127, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


def or_raw(mutate: Mutator) -> Mutator:
    """``mutate``; bytes that it cannot take apart, and one input in five, are changed as they are."""

    def either(content: bytes, random: Random, raw: Raw) -> bytes:
        if random.randrange(5):
            with suppress(Exception):  # whatever the libraries that take the file apart raise
                return mutate(content, random, raw)
        return raw(content)

    return either


def entries(inner: Callable[[str], Mutator], compresses: bool = False) -> Mutator:
    """Zip: an entry's content changed by what ``inner`` says for its name, or an entry renamed, left out or doubled."""

    def mutate(content: bytes, random: Random, raw: Raw) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = [(info.filename, archive.open(info).read(_LIMIT)) for info in archive.infolist()]
        at, action = random.randrange(len(found)), random.randrange(12)
        name, data = found[at]
        if action == 0:
            found[at] = (raw(name.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")[:200], data)
        elif action == 1:
            del found[at]
        elif action == 2:
            found.append((random.choice(found)[0], data))
        else:
            found[at] = (name, inner(name)(data, random, raw))
        form = zipfile.ZIP_DEFLATED if compresses and random.randrange(3) else zipfile.ZIP_STORED
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", form) as archive:
            for name, data in found:
                archive.writestr(zipfile.ZipInfo(name), data, form)
        return sink.getvalue()

    return mutate


def plain(content: bytes, random: Random, raw: Raw) -> bytes:
    """Bytes as they come, or a number in them replaced."""
    if random.randrange(3) or len(content) < 8:
        return raw(content)
    return _with_number(content, random)


def _with_number(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) // 4) * 4
    return content[:at] + struct.pack(random.choice("<>") + "I", random.choice(INTEGERS)) + content[at + 4 :]


def tar(content: bytes, random: Random, raw: Raw) -> bytes:
    """Tar, gzipped or not: a field of a header changed, its checksum made to fit."""
    if content[:2] == b"\x1f\x8b":
        unpacked = gzip.GzipFile(fileobj=io.BytesIO(content)).read(_LIMIT)
        return gzip.compress(tar(unpacked, random, raw), 1, mtime=0)
    blocks = [content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK)]
    headers = [number for number, block in enumerate(blocks) if block[257:262] == b"ustar" and len(block) == _BLOCK]
    action = random.randrange(8)
    if action == 0:
        return raw(content)
    if action == 1:
        at = random.randrange(len(blocks))
        blocks.insert(at, random.choice(blocks))
        return b"".join(blocks)
    at = random.choice(headers)
    header = bytearray(blocks[at])
    begin, end = random.choice(((0, 100), (100, 108), (124, 136), (156, 157), (157, 257), (257, 265), (345, 500)))
    if begin == 156:
        header[156] = random.choice(b"0123456789xgLKSVDNXM\0")
    elif begin == 124:
        header[124:136] = random.choice(
            (b"%011o\0" % random.choice(INTEGERS), b"\x80" + random.randbytes(11), b"-1".ljust(12))
        )
    else:
        header[begin:end] = raw(bytes(header[begin:end]).rstrip(b"\0"))[: end - begin].ljust(end - begin, b"\0")
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header[:148]) + b" " * 8 + bytes(header[156:]))[0]  # type: ignore[attr-defined]
    blocks[at] = bytes(header)
    return b"".join(blocks)


def png(content: bytes, random: Random, raw: Raw) -> bytes:
    """PNG: a chunk's data changed (pixels: before they are packed), or a chunk left out, moved or renamed."""
    chunks, at = [], 8
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    number, action = random.randrange(len(chunks)), random.randrange(8)
    kind, data = chunks[number]
    if action == 0:
        del chunks[number]
    elif action == 1:
        chunks.insert(random.randrange(len(chunks)), chunks.pop(number))
    elif action == 2:
        chunks[number] = (random.choice((b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"acTL", b"fdAT", b"gAMA")), data)
    elif kind == b"IDAT" and action < 6:
        chunks[number] = (kind, zlib.compress(plain(zlib.decompressobj().decompress(data, _LIMIT), random, raw), 1))
    else:
        chunks[number] = (kind, plain(data, random, raw))
    packed = (len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4) for kind, data in chunks)
    return content[:8] + b"".join(packed)


def npy(header: Mutator) -> Mutator:
    """``.npy``: its header text changed, the length made to fit; or its numbers."""

    def mutate(content: bytes, random: Random, raw: Raw) -> bytes:
        size = int.from_bytes(content[8:10], "little")
        if random.randrange(4) == 0:
            return content[: 10 + size] + plain(content[10 + size :], random, raw)
        text = header(content[10 : 10 + size], random, raw)[:60_000]
        return content[:8] + len(text).to_bytes(2, "little") + text + content[10 + size :]

    return mutate


def safetensors(header: Mutator) -> Mutator:
    """``.safetensors``: its JSON header changed, the length made to fit; or the bytes after it."""

    def mutate(content: bytes, random: Random, raw: Raw) -> bytes:
        size = int.from_bytes(content[:8], "little")
        text, data = content[8 : 8 + size], content[8 + size :]
        if random.randrange(4) == 0:
            data = raw(data)
        else:
            text = header(text, random, raw)
        return len(text).to_bytes(8, "little") + text + data

    return mutate


def matlab(content: bytes, random: Random, raw: Raw) -> bytes:
    """``.mat``: an element at any depth changed in kind or content, the lengths around it made to fit."""
    return content[:128] + _changed_elements(content[128:], random, raw)


def _changed_elements(content: bytes, random: Random, raw: Raw) -> bytes:
    found = list(_elements(content))
    at, action = random.randrange(len(found)), random.randrange(14)
    kind, data = found[at]
    if kind == 15 and action:
        packed = zlib.compress(_changed_elements(zlib.decompressobj().decompress(data, _LIMIT), random, raw), 1)
        found[at] = (kind, packed)
    elif kind == 14 and action > 2:
        found[at] = (kind, _changed_elements(data, random, raw))
    elif action == 0:
        del found[at]
    elif action == 1:
        found.insert(random.randrange(len(found)), random.choice(found))
    elif action == 2:
        found[at] = (random.choice((1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14, 15, 16, 17)), data)
    else:
        found[at] = (kind, plain(data, random, raw))
    return b"".join(_element(kind, data) for kind, data in found)


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, at)
        if kind >> 16:
            yield kind & 0xFFFF, content[at + 4 : at + 4 + (kind >> 16)]
            at += 8
        else:
            yield kind, content[at + 8 : at + 8 + size]
            at += 8 + size + (0 if kind == 15 else -size % 8)


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(0 if kind == 15 else -len(data) % 8)
