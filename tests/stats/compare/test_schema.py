"""A comparison's document says of which version it is."""

import json

from harness.stats.compare.schema import compare_schema


def test_a_document_names_its_versions(answered, compared, right):
    responses = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.5)})
    document = json.loads(json.dumps(compared(responses).to_dict()))
    properties = compare_schema()["properties"]

    for name in ("schema_version", "methodology_version"):
        assert properties[name] == {"const": document[name]}
