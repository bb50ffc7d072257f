"""Makes requests that pass the first checks, so that they reach what comes behind: one query, a model that is there."""

import schemathesis

QUERIES = ["text", "words", "vector", "sparse", "like", "image"]


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("model"), str):
        body["model"] = "toy"
    asked = [name for name in QUERIES if body.get(name) is not None]
    for name in asked[1:]:
        del body[name]
    if context.operation.path.endswith("/search"):
        if not asked:
            body["text"] = "a cat"
        body.pop("field", None)
        if "vector" in asked[:1]:
            body["vector"] = (body["vector"] + [0.5] * 32)[:32]
    return body
