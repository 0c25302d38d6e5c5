"""Writes files as torch.save() does, without torch: the same bytes on every machine.

A value to be pickled is made of dicts, lists, tuples, texts, numbers, None and Tensor.
"""
import collections
import dataclasses
import struct
import zipfile

STORAGES = {"F64": ("DoubleStorage", 8), "F32": ("FloatStorage", 4), "F16": ("HalfStorage", 2),
            "BF16": ("BFloat16Storage", 2), "BOOL": ("BoolStorage", 1)}


@dataclasses.dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple
    values: bytes


def tensors_of(made):
    """{name: (dtype, shape, bytes)} as an ordered dict of tensors."""
    return collections.OrderedDict((name, Tensor(*tensor)) for name, tensor in made.items())


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def pickled(value, storages, is_stream=False):
    """The opcodes that push `value`; its tensors' bytes go to the list `storages`."""
    def push(item):
        return pickled(item, storages, is_stream)

    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, tuple):
        return b"(" + b"".join(map(push, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(push, value)) + b"e"
    if isinstance(value, dict):
        begin = b"ccollections\nOrderedDict\n)R" if isinstance(value, collections.OrderedDict) else b"}"
        return begin + b"(" + b"".join(push(key) + push(item) for key, item in value.items()) + b"u"
    name, element_bytes = STORAGES[value.dtype]
    strides, stride = [], 1
    for size in reversed(value.shape):
        strides.insert(0, stride)
        stride *= size
    key = str(len(storages))
    storages.append((element_bytes, value.values))
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\n" + name.encode() + b"\n" +
            text(key) + text("cpu") + push(len(value.values) // element_bytes) + (b"N" if is_stream else b"") +
            b"tQ" + push(0) + push(tuple(value.shape)) + push(tuple(strides)) +
            b"\x89ccollections\nOrderedDict\n)RtR")


def write_zip(path, value):
    """As torch has saved since 1.6."""
    storages = []
    pickle = b"\x80\2" + pickled(value, storages) + b"."
    entries = [("data.pkl", pickle), ("byteorder", b"little")]
    entries += [(f"data/{i}", values) for i, (_, values) in enumerate(storages)]
    entries += [("version", b"3\n")]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in entries:
            file.writestr(zipfile.ZipInfo("archive/" + name), data)


def write_stream(path, value):
    """As torch saved before."""
    storages = []
    pickle = pickled(value, storages, is_stream=True)
    facts = {"protocol_version": 1001, "little_endian": True,
             "type_sizes": {"short": 2, "int": 4, "long": 4}}
    with open(path, "wb") as file:
        file.write(b"\x80\2\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\2M\xe9\x03.")
        for data in pickled(facts, []), pickle, pickled([str(i) for i in range(len(storages))], []):
            file.write(b"\x80\2" + data + b".")
        for element_bytes, values in storages:
            file.write(struct.pack("<q", len(values) // element_bytes) + values)
