"""Amazon's own words on Converse: the service model that botocore ships, as a judge of bodies.

botocore validates little by itself (no patterns, no enums, no unions of responses), so `faults`
walks the model: types, required members, members that do not exist, unions, lengths, ranges,
patterns, enums.
"""

import base64
import json
import re
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer


@cache
def service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def faults(body: Any, shape_name: str = "ConverseRequest") -> list[str]:
    """What the service model has against a document on the wire; the model's id is in the path."""
    shape = service().shape_for(shape_name)
    found = list(_faults(body, shape, shape_name))
    return [fault for fault in found if not fault.endswith("modelId is missing")]


def serialized(body: dict[str, Any], model: str) -> tuple[str, dict[str, Any]]:
    """Path and body that botocore sends for what a body on the wire says."""
    params = _python(body, service().shape_for("ConverseRequest")) | {"modelId": model}
    serializer = create_serializer("rest-json")
    request = serializer.serialize_to_request(params, service().operation_model("Converse"))
    return request["url_path"], json.loads(request["body"])


def parsed(body: bytes) -> dict[str, Any]:
    """A whole answer as boto3's users get it."""
    parser = create_parser("rest-json")
    response = {"status_code": 200, "headers": {}, "body": body}
    output = service().operation_model("Converse").output_shape
    return dict(parser.parse(response, output))


def parsed_event(name: str, payload: bytes) -> dict[str, Any]:
    """The payload of a stream's event, checked against the model of it."""
    document = json.loads(payload)
    document.pop("p", None)
    shape = service().shape_for("ConverseStreamOutput").members[name]
    assert not list(_faults(document, shape, name))
    return dict(document)


def _python(value: Any, shape: Shape) -> Any:
    """What is base64 on the wire is bytes in Python."""
    kind = shape.type_name
    if kind == "structure" and not shape.is_document_type:
        return {name: _python(each, shape.members[name]) for name, each in value.items()}
    if kind == "list":
        return [_python(each, shape.member) for each in value]
    return base64.b64decode(value) if kind == "blob" else value


def _faults(value: Any, shape: Shape, where: str) -> Any:
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return
    if kind == "structure":
        yield from _structure_faults(value, shape, where)
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{where} is no list"
            return
        yield from _size_faults(len(value), shape, where)
        for index, each in enumerate(value):
            yield from _faults(each, shape.member, f"{where}[{index}]")
    elif kind == "map":
        for name, each in value.items():
            yield from _faults(each, shape.value, f"{where}.{name}")
    else:
        yield from _scalar_faults(value, shape, where)


def _structure_faults(value: Any, shape: Shape, where: str) -> Any:
    if not isinstance(value, dict):
        yield f"{where} is no structure"
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{where}.{name} is missing"
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield f"{where} is a union with {len(value)} members"
    for name, each in value.items():
        if name not in shape.members:
            yield f"{where}.{name} is not known"
        else:
            yield from _faults(each, shape.members[name], f"{where}.{name}")


def _scalar_faults(value: Any, shape: Shape, where: str) -> Any:
    kinds: dict[str, Any] = {
        "string": str,
        "blob": str,
        "boolean": bool,
        "integer": int,
        "long": int,
        "float": (int, float),
        "double": (int, float),
    }
    if not isinstance(value, kinds[shape.type_name]):
        yield f"{where} is no {shape.type_name}"
        return
    if shape.type_name == "string":
        yield from _size_faults(len(value), shape, where)
        if (enum := shape.metadata.get("enum")) and value not in enum:
            yield f"{where} is not one of {enum}"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield f"{where} does not match {pattern}"
    elif shape.type_name == "blob":
        yield from _size_faults(len(base64.b64decode(value, validate=True)), shape, where)
    elif shape.type_name != "boolean":
        yield from _size_faults(value, shape, where)


def _size_faults(size: float, shape: Shape, where: str) -> Any:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield f"{where} is less than {least}"
    if most is not None and size > most:
        yield f"{where} is more than {most}"
