"""bigrain.v1 over gRPC: bigrain serve --model DIR, then python examples/python/with_grpc.py [HOST:PORT].

The stubs are generated from the protocol, by grpcio-tools:

    python -m grpc_tools.protoc -I api/proto --python_out=STUBS --grpc_python_out=STUBS api/proto/bigrain/v1/*.proto
"""

import json
import sys

import grpc
from bigrain.v1 import collections_pb2, collections_pb2_grpc, common_pb2, encoder_pb2, encoder_pb2_grpc
from bigrain.v1 import points_pb2, points_pb2_grpc, search_pb2, search_pb2_grpc

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7700"
channel = grpc.insecure_channel(address.removeprefix("http://"))
collections = collections_pb2_grpc.CollectionsStub(channel)
encoder = encoder_pb2_grpc.EncoderStub(channel)
points = points_pb2_grpc.PointsStub(channel)
search = search_pb2_grpc.SearchStub(channel)

model = encoder.ListModels(encoder_pb2.ListModelsRequest()).models[0]
try:
    collections.Drop(collections_pb2.DropCollectionRequest(name="sentences"))
except grpc.RpcError as error:
    if error.code() != grpc.StatusCode.NOT_FOUND:
        raise
# Its vectors are the model's, so that a text can be searched for.
config = collections_pb2.CollectionConfig(metric=common_pb2.METRIC_COSINE, model=model.name)
collections.Create(collections_pb2.CreateCollectionRequest(name="sentences", config=config))

texts = {"cat": "A cat sleeps on the mat.", "dog": "The dog barks at night.", "bank": "Interest rates rose again."}
encoded = encoder.Encode(encoder_pb2.EncodeRequest(model=model.name, texts=list(texts.values())))
stored = points.Upsert(
    points_pb2.UpsertRequest(
        collection="sentences",
        # A vector of another model would be refused.
        space=encoded.space,
        points=[
            points_pb2.Point(
                id=common_pb2.PointId(text=name), vector=embedding.values, payload_json=json.dumps({"text": text})
            )
            for (name, text), embedding in zip(texts.items(), encoded.embeddings)
        ],
    )
)
print(f"stored {stored.inserted} points, on disk when the call returned")
for question in ["a dog at night", "the cat on a mat"]:
    request = search_pb2.SearchTextRequest(
        collection="sentences", text=question, options=search_pb2.SearchOptions(limit=1), filter_json='{"field": "text", "exists": true}'
    )
    # A deadline is kept by the server, too.
    reply = search.SearchText(request, timeout=10)
    best = reply.points[0]
    print(f"{question}: {best.score:.3f} {json.loads(best.payload_json)['text']}")
