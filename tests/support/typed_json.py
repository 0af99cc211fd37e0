"""Makes JSON of a declared type: what a field table accepts, whether or not it makes sense."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""Any text that JSON can carry."""

OBJECT = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=3)


def values_of(declared: Any) -> st.SearchStrategy[Any]:
    """JSON values of a type as msgspec understands types."""
    return _of(msgspec.inspect.type_info(declared))


def _of(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    return _MAKERS[type(kind)](kind)


def _text(kind: Any) -> st.SearchStrategy[Any]:
    return TEXT.filter(lambda text: len(text) >= (kind.min_length or 0))


def _list(kind: Any) -> st.SearchStrategy[Any]:
    return st.lists(_of(kind.item_type), min_size=kind.min_length or 0, max_size=3)


def _number(kind: Any) -> st.SearchStrategy[Any]:
    return st.floats(kind.ge, kind.le, allow_nan=False, allow_infinity=False)


def _struct(kind: msgspec.inspect.StructType) -> st.SearchStrategy[Any]:
    tag = {kind.tag_field: st.just(kind.tag)} if kind.tag_field else {}
    required = {f.encode_name: st.deferred(_lazily(f)) for f in kind.fields if f.required}
    optional = {f.encode_name: st.deferred(_lazily(f)) for f in kind.fields if not f.required}
    return st.fixed_dictionaries(tag | required, optional=optional)


def _lazily(field: msgspec.inspect.Field) -> Any:
    return lambda: _of(field.type)


_MAKERS: Mapping[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    msgspec.inspect.Metadata: lambda kind: _of(kind.type),
    msgspec.inspect.AnyType: lambda _: OBJECT,
    msgspec.inspect.NoneType: lambda _: st.none(),
    msgspec.inspect.BoolType: lambda _: st.booleans(),
    msgspec.inspect.IntType: lambda kind: st.integers(kind.ge, kind.le),
    msgspec.inspect.FloatType: _number,
    msgspec.inspect.StrType: _text,
    msgspec.inspect.LiteralType: lambda kind: st.sampled_from(kind.values),
    msgspec.inspect.ListType: _list,
    msgspec.inspect.DictType: lambda _: OBJECT,
    msgspec.inspect.UnionType: lambda kind: st.one_of([_of(each) for each in kind.types]),
    msgspec.inspect.StructType: _struct,
}
