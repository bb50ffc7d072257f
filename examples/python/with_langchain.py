"""LangChain on bigrain: bigrain serve --qdrant, then python examples/python/with_langchain.py [URL].

The embeddings are random numbers that depend on the text alone, so that this runs without a model: only equal
texts are near each other. Put those of your model in their place.
"""

import sys

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore
from qdrant_client import models

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:6333"
documents = [
    Document("Light codes in memory find the candidates.", metadata={"chapter": 1}),
    Document("Dense vectors on disk verify them.", metadata={"chapter": 1}),
    Document("A write that is answered is on disk.", metadata={"chapter": 2}),
]
store = QdrantVectorStore.from_documents(
    documents,
    DeterministicFakeEmbedding(size=64),
    ids=["codes", "vectors", "writes"],
    url=url,
    collection_name="notes",
    force_recreate=True,
)
for found, score in store.similarity_search_with_score("Dense vectors on disk verify them.", k=1):
    print(f"{score:.3f} {found.page_content}")
second = models.Filter(must=[models.FieldCondition(key="metadata.chapter", match=models.MatchValue(value=2))])
for found in store.similarity_search("anything", k=3, filter=second):
    print(f"chapter 2: {found.page_content}")
print("by id:", store.get_by_ids(["codes"])[0].page_content)
