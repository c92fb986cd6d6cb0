"""Recognises text that is not UTF-8 by its first bytes. Pure."""

import codecs

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAMPLE = 1024


def foreign_encoding(start: bytes) -> str:
    """Return the name of the encoding, such as `UTF-16`, if the first bytes of a text show one; else an empty string.

    Text of Latin letters without a byte order mark is recognised by its NUL bytes: UTF-16 has one in every pair.
    """
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    sample = start[:_SAMPLE]
    return "UTF-16" if len(sample) > 1 and sample.count(0) * 5 >= len(sample) * 2 else ""
