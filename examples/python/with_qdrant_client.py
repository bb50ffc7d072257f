"""Qdrant's Python client on bigrain: bigrain serve --qdrant, then python examples/python/with_qdrant_client.py [URL]."""

import sys

from qdrant_client import QdrantClient, models

client = QdrantClient(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:6333")
client.delete_collection("colors")
client.create_collection(
    "colors", vectors_config=models.VectorParams(size=3, distance=models.Distance.COSINE)
)
colors = {"red": [1, 0, 0], "orange": [1, 0.5, 0], "green": [0, 1, 0], "teal": [0, 1, 0.8], "blue": [0, 0, 1]}
client.upsert(
    "colors",
    points=[
        # Any string may be an id.
        models.PointStruct(id=name, vector=rgb, payload={"warm": rgb[0] > rgb[2]})
        for name, rgb in colors.items()
    ],
)
for point in client.query_points("colors", query=[0.9, 0.2, 0], limit=2).points:
    print(f"near red: {point.id} {point.score:.3f}")
cold = models.Filter(must=[models.FieldCondition(key="warm", match=models.MatchValue(value=False))])
for point in client.query_points("colors", query="teal", query_filter=cold, limit=2).points:
    print(f"like teal and cold: {point.id} {point.score:.3f}")
print("of both kinds:", {hit.value: hit.count for hit in client.facet("colors", key="warm").hits})
