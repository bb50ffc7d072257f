"""LangChain's standard tests of vector stores, through langchain-qdrant, against a running server.

    BIGRAIN_URL=http://127.0.0.1:6333 pytest langchain_standard.py

The tests ask three things of a store that langchain-qdrant 1.1 does not do, on any server: that a document that was
found has its id as `id`, and not in its metadata; that ids may be given for some documents alone; and that an id that
is made up is written as it comes back, with hyphens. `Store` adds these three.
"""

import os
import uuid

import pytest
from langchain_qdrant import QdrantVectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from qdrant_client import QdrantClient, models


class Store(QdrantVectorStore):
    """langchain-qdrant with ids where LangChain has them."""

    @classmethod
    def _document_from_point(cls, *args, **kwargs):
        document = super()._document_from_point(*args, **kwargs)
        document.metadata.pop("_collection_name")
        document.id = document.metadata.pop("_id")
        return document

    def add_texts(self, texts, metadatas=None, ids=None, **kwargs):
        texts = list(texts)
        ids = [str(uuid.uuid4()) if one is None else one for one in ids or [None] * len(texts)]
        return super().add_texts(texts, metadatas, ids, **kwargs)


class TestQdrantVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self):
        client = QdrantClient(os.environ["BIGRAIN_URL"], check_compatibility=False)
        name = f"langchain-{uuid.uuid4().hex}"
        size = len(self.get_embeddings().embed_query("size"))
        vectors = models.VectorParams(size=size, distance=models.Distance.COSINE)
        client.create_collection(name, vectors_config=vectors)
        try:
            yield Store(client=client, collection_name=name, embedding=self.get_embeddings())
        finally:
            client.delete_collection(name)
            client.close()
