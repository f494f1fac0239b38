"""OpenAPI 3.1 of the served routes, made from their tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec

from server.kernel.errors import CODES
from server.kernel.events import BoundRoute, Empty, Route

REF = "#/components/schemas/{name}"
PROBLEM_TYPE = "application/problem+json"
_NAMES = re.compile(r"{(\w+)}")
_STATUSES = (400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 503)
_REASONS = {
    400: "The request breaks the contract.", 401: "Not logged in, or not any more.",
    403: "The caller may not do this.", 404: "It does not exist, or the caller may not know it.",
    408: "The body did not arrive in time.", 409: "It contradicts what is there.",
    413: "Larger than a limit.", 415: "Not application/json.", 429: "Too often.",
    500: "A fault of the server.", 503: "A part cannot serve now.",
}  # fmt: skip


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 with the members of the wire contract."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    retry_after_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    data: dict[str, Any] | None = None


def describe(routes: Sequence[BoundRoute], *, version: str) -> dict[str, Any]:
    """The document, deterministic for the same routes."""
    declared = [bound.route for bound in routes]
    shapes = list(_shapes(declared))
    schemas, components = msgspec.json.schema_components([Problem, *shapes], ref_template=REF)
    known = dict(zip([id(Problem), *map(id, shapes)], schemas, strict=True))
    components["Problem"]["properties"]["code"] = {"enum": sorted(CODES)}
    paths: dict[str, dict[str, Any]] = {}
    for route in declared:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, known, components
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hubbub", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {str(status): _problem(status) for status in _STATUSES},
        },
    }


def _shapes(routes: Iterable[Route]) -> Iterable[Any]:
    seen: set[int] = set()
    for route in routes:
        for shape in (route.body, route.answer, route.query):
            if shape is not None and shape is not Empty and id(shape) not in seen:
                seen.add(id(shape))
                yield shape


def _operation(route: Route, known: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary.rstrip("."),
        "tags": [route.path.split("/")[3]],
        "parameters": [*_path_parameters(route), *_query_parameters(route, known, components)],
        "responses": _responses(route, known),
    }
    if route.login:
        operation["security"] = [{"bearer": []}]
    if route.body is not None:
        content = {"application/json": {"schema": known[id(route.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(route: Route, known: dict[int, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if route.answer is not None:
        done["content"] = {"application/json": {"schema": known[id(route.answer)]}}
    responses = {str(route.status): done}
    if route.path.endswith("/rooms") and route.method == "POST":
        responses["200"] = done  # the direct room that is there already
    for status in _STATUSES:
        if status in (408, 413, 415) and route.body is None:
            continue
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return responses


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1, "maxLength": 64}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in _NAMES.findall(route.path)
    ]


def _query_parameters(
    route: Route, known: dict[int, Any], components: dict[str, Any]
) -> list[dict[str, Any]]:
    if route.query is Empty:
        return []
    schema = components[known[id(route.query)]["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(described)}
        for name, described in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string cannot be null: absent is what null means in the declared shape."""
    if "anyOf" not in schema:
        return schema
    rest = [member for member in schema["anyOf"] if member.get("type") != "null"]
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**kept, **rest[0]} if len(rest) == 1 else {**kept, "anyOf": rest}


def _problem(status: int) -> dict[str, Any]:
    content = {PROBLEM_TYPE: {"schema": {"$ref": REF.format(name="Problem")}}}
    return {"description": _REASONS[status], "content": content}


def _operation_id(route: Route) -> str:
    words = re.sub(r"\W+", "_", route.path.removeprefix("/api/v1/")).strip("_")
    return f"{route.method.lower()}_{words}"
