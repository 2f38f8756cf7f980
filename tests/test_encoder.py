"""The encoder reads and writes what Dramatiq's does."""

import pytest
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from project.broker.encoder import Encoder

text = st.text(st.characters(codec=None))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(text, values))
def test_what_was_written_is_read(data: dict[str, object]) -> None:
    assert Encoder().decode(Encoder().encode(data)) == data


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(text, values))
def test_the_encoder_and_dramatiqs_read_each_other(data: dict[str, object]) -> None:
    assert JSONEncoder().decode(Encoder().encode(data)) == data
    assert Encoder().decode(JSONEncoder().encode(data)) == data


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        Encoder().encode({"value": object()})


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(DecodeError):
        Encoder().decode(b"no JSON")
