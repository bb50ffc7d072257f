"""LangChain's standard tests of vector stores, through langchain-qdrant, against a running server.

    BIGRAIN_URL=http://127.0.0.1:6333 pytest langchain_standard.py
"""

import os
import uuid

import pytest
from langchain_qdrant import QdrantVectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from qdrant_client import QdrantClient, models


class TestQdrantVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self):
        client = QdrantClient(os.environ["BIGRAIN_URL"], check_compatibility=False)
        name = f"langchain-{uuid.uuid4().hex}"
        size = len(self.get_embeddings().embed_query("size"))
        vectors = models.VectorParams(size=size, distance=models.Distance.COSINE)
        client.create_collection(name, vectors_config=vectors)
        try:
            yield QdrantVectorStore(client=client, collection_name=name, embedding=self.get_embeddings())
        finally:
            client.delete_collection(name)
            client.close()
