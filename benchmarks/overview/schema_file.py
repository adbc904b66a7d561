"""The JSON Schema of ``results.json``: run this module to rewrite ``schema.json``."""

from __future__ import annotations

import json
from pathlib import Path

from ..report.schema_file import DIALECT, AllRequired
from .schema import Overview

SCHEMA_PATH = Path(__file__).with_name("schema.json")


def schema_text() -> str:
    """Content of ``schema.json``."""
    schema = Overview.model_json_schema(by_alias=True, schema_generator=AllRequired, mode="serialization")
    return json.dumps({"$schema": DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), "utf-8")
