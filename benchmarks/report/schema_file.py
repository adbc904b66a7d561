"""The JSON Schema of ``report.json``: run this module to rewrite ``schema.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from .schema import GENERATION_FIELDS, SYSTEM_FIELDS, Report

SCHEMA_PATH = Path(__file__).with_name("schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class AllRequired(GenerateJsonSchema):
    """Fields with a default are written too, so a reader may count on them; those that only some systems have apart."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Every field is."""
        return True


def json_schema() -> dict[str, Any]:
    """Describe a written report, by the names that stand in the file."""
    schema = Report.model_json_schema(by_alias=True, schema_generator=AllRequired, mode="serialization")
    optional = {**GENERATION_FIELDS, "Report": (*GENERATION_FIELDS["Report"], *SYSTEM_FIELDS)}
    for name, fields in optional.items():
        part = schema if name == Report.__name__ else schema["$defs"][name]
        part["required"] = [field for field in part["required"] if field not in fields]
    return {"$schema": DIALECT, **schema}


def schema_text() -> str:
    """Content of ``schema.json``."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), "utf-8")
