"""The OpenAI client on bigrain: bigrain serve --model DIR, then python examples/python/with_openai.py [URL].

The server embeds with the model it has loaded; what is nearest is worked out here.
"""

import math
import sys

from openai import OpenAI

client = OpenAI(base_url=f"{sys.argv[1] if len(sys.argv) > 1 else 'http://127.0.0.1:7700'}/v1", api_key="none is set")
model = client.models.list().data[0].id
texts = ["A cat sleeps on the mat.", "The dog barks at night.", "Interest rates rose again."]


def embed(inputs, what_for):
    # What a text is for is no setting of OpenAI's; models that put a prefix before queries need it.
    answer = client.embeddings.create(model=model, input=inputs, extra_body={"input_type": what_for})
    return [item.embedding for item in answer.data]


def cosine(one, other):
    return sum(x * y for x, y in zip(one, other)) / (math.hypot(*one) * math.hypot(*other))


documents = embed(texts, "document")
for question in ["a dog at night", "the cat on a mat"]:
    (query,) = embed([question], "query")
    score, text = max((cosine(query, document), text) for document, text in zip(documents, texts))
    print(f"{question}: {score:.3f} {text}")
