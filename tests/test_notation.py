"""YAML and JSON as hotconfig writes and reads them: exact, and each key with its line."""

from __future__ import annotations

import exchanging
import pytest
import yaml
from exchanging import Data
from hypothesis import given, settings

from hotconfig._notation import Notation, Text, comment, dump, scalar
from hotconfig.cli import form
from hotconfig.errors import InvalidConfig

NOTATIONS: tuple[Notation, ...] = ("yaml", "json")


def written(data: Data, notation: Notation = "yaml") -> str:
    return "".join(dump(data, notation))


def read(text: str | bytes, notation: Notation = "yaml") -> Text:
    return Text(text if isinstance(text, bytes) else text.encode(), "file", notation)


@settings(max_examples=60, deadline=None)
@given(exchanging.exports())
def test_every_text_comes_back(data: Data) -> None:
    """Exactly, from both; PyYAML itself, another reader, reads the same."""
    for notation in NOTATIONS:
        assert read(written(data, notation), notation).data == data
    assert yaml.safe_load(written(data)) == data


@settings(max_examples=60, deadline=None)
@given(exchanging.profiles, exchanging.texts)
def test_every_text_comes_back_from_the_form(profile: Data, note: str) -> None:
    """Exactly, under comments that hold whatever; PyYAML itself reads the same."""
    sections = {domain: fields for domain, fields in profile.items() if domain != "description"}
    values = {"profile": {"description": profile["description"]}, **sections}
    text = form.write(values, [note])
    assert form.read(text.encode())[0] == yaml.safe_load(text) == values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "|-\n  a\n  b\n"),
        ("a\nb\n", "|\n  a\n  b\n"),
        ("a\nb\n\n", "|+\n  a\n  b\n\n"),
        ("a\n \n", "|+\n  a\n   \n"),
        ("a  \n\tb", "|-\n  a  \n  \tb\n"),
        ("  a\nb", "|2-\n    a\n  b\n"),
        ("\n\na\n", "|2\n\n\n  a\n"),
        ("é 😀\n# no comment\n", "|\n  é 😀\n  # no comment\n"),
        ("\n", '"\\n"\n'),
        ("", '""\n'),
        ("no", '"no"\n'),
        (" a ", '" a "\n'),
        ("\n\n", '"\\n\\\n  \\n"\n'),
        ("a\r\nb", '"a\\r\\n\\\n  b"\n'),
        (' a\r\n  "b\\n"\r\n\tc \n', '" a\\r\\n\\\n  \\  \\"b\\\\n\\"\\r\\n\\\n  \\tc \\n"\n'),
        ("a\nb\x85\u2028\ufeff\x07", '"a\\n\\\n  b\\x85\\u2028\\ufeff\\x07"\n'),
    ],
)
def test_text_in_yaml(text: str, shown: str) -> None:
    """Several lines are a block, so that a diff shows the line; what a block cannot hold is quoted, line by line."""
    assert written({"prompt": text}) == f"prompt: {shown}"
    assert read(written({"prompt": text, "z": 1})).data == {"prompt": text, "z": 1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", "|-\n    a"), (" a", "|2-\n     a"), ("a\n", "|\n    a"), ("", '""'), (" ", '" "'), ("a\r", '"a\\r"')],
)
def test_a_block_of_one_line(text: str, shown: str) -> None:
    """Where one is wished, and can be."""
    assert scalar(text, "    ", block=True) == shown
    assert read(f"a:\n  b: {shown}\n  # more\n  c: 1\n").data == {"a": {"b": text, "c": 1}}


def test_comments() -> None:
    """They are one line, which neither YAML nor a terminal takes for anything else."""
    assert comment('a "b"\n c\u2028\x1b[m\\ é\n') == '# a "b" c \\x1b[m\\ é'
    assert comment(" ") == "#"


def test_names_in_yaml() -> None:
    """Words as they are, but for those that mean something else somewhere."""
    names = ["default", "no", "Y", "a b", "1", "ü", ""]
    assert written(dict.fromkeys(names, 1)) == 'default: 1\n"no": 1\n"Y": 1\n"a b": 1\n"1": 1\n"ü": 1\n"": 1\n'


def test_json_holds_nothing_that_a_terminal_obeys() -> None:
    """Beyond what JSON escapes anyway."""
    assert written({"a": "\x9b\x7f\u2028\x1bé"}, "json") == '{\n  "a": "\\u009b\\u007f\\u2028\\u001bé"\n}\n'


def test_yaml_has_few_types() -> None:
    """What no field can be is text, and the model says so; anchors and merges work."""
    text = read("a: {d: 2026-99-99, n: no, o: 010, t: 12:30, f: 1e-1, g: -.5, i: -5, z: ~}\nb: {<<: &x {p: q}, r: *x}")
    assert text.data == {
        "a": {"d": "2026-99-99", "n": "no", "o": "010", "t": "12:30", "f": 0.1, "g": -0.5, "i": -5, "z": None},
        "b": {"p": "q", "r": {"p": "q"}},
    }
    assert text.twice() == []


@pytest.mark.parametrize(
    ("notation", "content", "line", "told"),
    [
        ("yaml", "a: 1\nb: [1\nc: 2\n", 3, "no YAML: "),
        ("yaml", "a: 1\n\tb: 2\n", 2, "no YAML: "),
        ("yaml", "a: 1\n---\nb: 2\n", 2, "no YAML: expected a single document"),
        ("yaml", "a: 1\nb: !!python/object:os.system x\n", 2, "no YAML: the tag tag:yaml.org,2002:python/"),
        ("yaml", "a: 1\nb: !!int x\n", 2, "no YAML: the tag tag:yaml.org,2002:int does not"),
        ("yaml", "a: 1\nb: !!bool x\n", 2, "no YAML: the tag tag:yaml.org,2002:bool does not"),
        ("yaml", "a: 1\nb: *x\n", 2, "no YAML: found undefined alias"),
        ("yaml", "a: 1\n? [b]\n: 2\n", 2, "no YAML: "),
        ("yaml", "a: é\nb: \x07\n", 2, "no YAML: it must not hold U+0007"),
        ("yaml", "[" * 100_000 + "]" * 100_000, 1, "no YAML: nested too deeply"),
        ("yaml", b"a: 1\nb: \xff\n", 2, "not UTF-8 text"),
        ("json", '{"a": 1,\n"b": }', 2, "no JSON: Expecting value"),
        ("json", '{"a": 1}\n{}', 2, "no JSON: Extra data"),
        ("json", "", 1, "no JSON: Expecting value"),
        ("json", "[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_what_is_neither(notation: Notation, content: str | bytes, line: int, told: str) -> None:
    """It is refused with its line."""
    with pytest.raises(InvalidConfig) as refused:
        read(content, notation)
    assert str(refused.value).startswith(f"nothing was saved: file:{line}: {told}"), str(refused.value)[:200]


@pytest.mark.parametrize(
    ("notation", "content"),
    [
        ("yaml", "a:\n  b: 1\n  'c': |\n    x\n\n    y\n  d:\n    e: {}\nf: 2\n"),
        ("json", '{"a":\n {"b": 1,\n "c": "x\\n}",\n\n\n\n "d": {\n "e": {}}},\n "f": 2}'),
    ],
)
def test_places(notation: Notation, content: str) -> None:
    """Each key has its line, counted from 0; what is not there has that of what it would be in."""
    text = read(content, notation)
    ways = [("a",), ("a", "b"), ("a", "c"), ("a", "d"), ("a", "d", "e"), ("f",)]
    assert [text.place(way) for way in ways] == [0, 1, 2, 6, 7, 8]
    assert (text.place(("a", "d", "x")), text.place(("x",))) == (6, 0)


@pytest.mark.parametrize(
    ("notation", "content"),
    [
        ("yaml", "a:\n  b: 1\n  c: 2\n  'b': 3\na: 4\n"),
        ("json", '{"a": {\n"b": 1,\n"c": 2,\n"b": 3},\n"a": 4}'),
    ],
)
def test_keys_that_are_there_twice(notation: Notation, content: str) -> None:
    """They are found, with both lines."""
    assert read(content, notation).twice() == [(("a", "b"), 3, 1), (("a",), 4, 0)]
