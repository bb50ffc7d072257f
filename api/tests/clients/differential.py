"""The same random operations on a server and on the reference that Qdrant's Python client has in memory.

    differential.py --url http://127.0.0.1:6333 [--grpc-port 6334] [--operations 2000] [--seed 1]

Both are driven through the same client. Ids must be the same, in the same order where no two scores are equal, and
scores within 1e-5. Every operation is printed when something differs; the last line counts what was compared.
"""

import argparse
import random
import sys
import warnings

from qdrant_client import QdrantClient, models as m

NAMED, PLAIN = "named", "plain"
TOLERANCE = 1e-5
DENSE = {"a": (8, m.Distance.COSINE), "b": (6, m.Distance.EUCLID), "c": (4, m.Distance.DOT)}
EXACT = m.SearchParams(exact=True)
WORDS = ["red", "green", "blue", "fox", "dog", "river", "stone", "cloud"]


class Difference(Exception):
    """What the two answered is not the same."""


class Twins:
    """A server and the reference, to which the same is said."""

    def __init__(self, server, reference):
        self.server, self.reference = server, reference
        self.refused = 0

    def both(self, call, *args, **kwargs):
        """Returns what both answered; None where both refused."""
        answers, errors = [], []
        for client in (self.server, self.reference):
            try:
                answers.append(getattr(client, call)(*args, **kwargs))
                errors.append(None)
            except Exception as error:  # noqa: BLE001: whatever it is, the other must refuse too
                answers.append(None)
                errors.append(error)
        if (errors[0] is None) != (errors[1] is None):
            raise Difference(f"server: {errors[0]!r}\nreference: {errors[1]!r}")
        if errors[0] is not None:
            self.refused += 1
            return None
        return answers


def close(one, other):
    return abs(one - other) <= TOLERANCE * max(1.0, abs(other))


def same(one, other, what):
    if one != other:
        raise Difference(f"{what}: {one!r} and {other!r}")


def same_values(one, other, what):
    """Compares payloads and vectors, numbers by their values."""
    if isinstance(other, float) or isinstance(one, float):
        if not close(one, other):
            raise Difference(f"{what}: {one} and {other}")
    elif isinstance(other, dict):
        same(sorted(one), sorted(other), what)
        for key in other:
            same_values(one[key], other[key], f"{what}.{key}")
    elif isinstance(other, list):
        same(len(one), len(other), what)
        for at, (left, right) in enumerate(zip(one, other)):
            same_values(left, right, f"{what}[{at}]")
    elif isinstance(other, m.SparseVector):
        pairs = lambda vector: dict(zip(vector.indices, vector.values))
        same_values({str(k): v for k, v in pairs(one).items()}, {str(k): v for k, v in pairs(other).items()}, what)
    else:
        same(one, other, what)


def same_order(one, other, what, offset=None):
    """Compares pairs of ids and scores. Equal scores leave the order open, and which of them are before an offset and
    behind the end."""
    same(len(one), len(other), f"{what}: how many")
    for at, ((left, score), (right, expected)) in enumerate(zip(one, other)):
        if not close(score, expected):
            raise Difference(f"{what}[{at}]: score {left}: {score}, {right}: {expected}")
    scores, found = [score for _, score in other], {id for id, _ in one}
    for at, ((left, _), (right, score)) in enumerate(zip(one, other)):
        if left == right:
            continue
        tied = [other for other in scores if close(other, score)]
        cut = close(scores[-1], score) or (offset and close(scores[0], score))
        if len(tied) < 2 and not cut:
            raise Difference(f"{what}[{at}]: {left} and {right} ({score})")
        if not cut and right not in found:
            raise Difference(f"{what}: {right} is missing")


def same_points(one, other, what="points", offset=None):
    """Compares results: ids, order, scores and what came with them."""
    same_order(*[[(point.id, point.score) for point in points] for points in (one, other)], what, offset)
    by_id = {point.id: point for point in one}
    for right in other:
        left = by_id.get(right.id)
        if left is not None:
            same_values(left.payload or {}, right.payload or {}, f"{what}: payload of {right.id}")
            same_values(left.vector or {}, right.vector or {}, f"{what}: vector of {right.id}")


def same_groups(one, other):
    """Compares groups, which stand in the order of their best points."""
    same_order(*[[(group.id, group.hits[0].score) for group in groups] for groups in (one, other)], "groups")
    by_id = {group.id: group for group in one}
    for right in other:
        if right.id in by_id:
            same_points(by_id[right.id].hits, right.hits, f"group {right.id}")


def same_records(one, other, what="records"):
    same([point.id for point in one], [point.id for point in other], f"{what}: ids")
    for left, right in zip(one, other):
        same_values(left.payload or {}, right.payload or {}, f"{what}: payload of {right.id}")
        same_values(left.vector or {}, right.vector or {}, f"{what}: vector of {right.id}")


def same_in_order(one, other, key):
    """Compares records in the order of a member. Equal values leave the order open, and which of them is the last."""
    values = [[point.payload[key] for point in points] for points in (one, other)]
    same(values[0], values[1], f"values of {key}")
    inner = lambda points: sorted((p.payload[key], str(p.id)) for p in points if p.payload[key] != values[1][-1])
    same(inner(one), inner(other), f"ids in the order of {key}")
    by_id = {point.id: point for point in one}
    both = [point for point in other if point.id in by_id]
    same_records([by_id[point.id] for point in both], both)


class World:
    """What is random."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.clock = 0

    def vector(self, dims):
        return [round(self.chance.gauss(0, 1), 4) for _ in range(dims)]

    def sparse(self):
        count = self.chance.randint(1, 5)
        indices = self.chance.sample(range(20), count)
        # So many digits that no two points are equally far: what fuses them goes by their ranks.
        return m.SparseVector(indices=indices, values=[round(self.chance.uniform(0.1, 2), 6) for _ in indices])

    def tokens(self):
        # Components that halves can hold.
        row = lambda: [self.chance.randint(-16, 16) / 8 or 0.125 for _ in range(4)]
        return [row() for _ in range(self.chance.randint(1, 3))]

    def vectors(self, all_of_them=True):
        kinds = {name: self.vector(dims) for name, (dims, _) in DENSE.items()}
        kinds["s"], kinds["m"] = self.sparse(), self.tokens()
        if all_of_them:
            return {name: kinds[name] for name in kinds if name == "a" or self.chance.random() < 0.8}
        names = self.chance.sample(sorted(kinds), self.chance.randint(1, 3))
        return {name: kinds[name] for name in names}

    def id(self):
        number = self.chance.randint(0, 150)
        if number % 3:
            return number
        return f"00000000-0000-0000-0000-{number:012x}"

    def ids(self):
        return list({str(i): i for i in (self.id() for _ in range(self.chance.randint(1, 6)))}.values())

    def payload(self):
        self.clock += 1
        chance = self.chance
        everything = {
            "n": chance.randint(0, 9),
            "unique": self.clock * (1 if chance.random() < 0.5 else -1),
            "f": round(chance.uniform(-1, 1), 3) + 0.0001,
            "color": chance.choice(WORDS[:3]),
            "tags": chance.sample(WORDS, chance.randint(0, 3)),
            "flag": chance.random() < 0.5,
            "o": {"x": chance.randint(0, 3), "y": {"z": chance.choice(WORDS)}},
            "items": [{"k": chance.choice(WORDS[:3]), "v": chance.randint(0, 3)} for _ in range(chance.randint(0, 3))],
            "text": " ".join(chance.sample(WORDS, 3)).capitalize(),
            "day": f"2024-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}T{chance.randint(0, 23):02d}:00:00Z",
            "home": {"lat": round(chance.uniform(50, 54), 3), "lon": round(chance.uniform(10, 14), 3)},
            "nothing": None,
        }
        return {key: value for key, value in everything.items() if key == "unique" or chance.random() < 0.8}

    def polygon(self):
        place = lambda lat, lon: m.GeoPoint(lat=lat, lon=lon)
        top = self.chance.uniform(51, 55)
        ring = [place(50.01, 10.01), place(50.02, 13.5), place(top, 12.03), place(50.01, 10.01)]
        hole = [place(50.5, 11.5), place(50.5, 12.5), place(51.0, 12.0), place(50.5, 11.5)]
        return m.GeoPolygon(exterior=m.GeoLineString(points=ring), interiors=[m.GeoLineString(points=hole)])

    def condition(self, depth=0):
        chance = self.chance
        ranged = lambda low, high: m.Range(gte=low, lt=high)
        makers = [
            lambda: m.FieldCondition(key="n", match=m.MatchValue(value=chance.randint(0, 9))),
            lambda: m.FieldCondition(key="n", match=m.MatchAny(any=chance.sample(range(10), 3))),
            lambda: m.FieldCondition(key="color", match=m.MatchValue(value=chance.choice(WORDS[:4]))),
            lambda: m.FieldCondition(key="tags", match=m.MatchAny(any=chance.sample(WORDS, 2))),
            lambda: m.FieldCondition(key="tags[]", match=m.MatchValue(value=chance.choice(WORDS))),
            lambda: m.FieldCondition(key="flag", match=m.MatchValue(value=chance.random() < 0.5)),
            lambda: m.FieldCondition(key="o.y.z", match=m.MatchValue(value=chance.choice(WORDS))),
            lambda: m.FieldCondition(key="items[].v", match=m.MatchValue(value=chance.randint(0, 3))),
            lambda: m.FieldCondition(key="text", match=m.MatchText(text=" ".join(chance.sample(WORDS, 2)))),
            lambda: m.FieldCondition(key="text", match=m.MatchTextAny(text_any=" ".join(chance.sample(WORDS, 2)))),
            lambda: m.FieldCondition(key="color", match=m.MatchPrefix(prefix=chance.choice(["r", "gr", "x", ""]))),
            lambda: m.FieldCondition(key="tags", match=m.MatchExcept(**{"except": chance.sample(WORDS, 3)})),
            lambda: m.FieldCondition(key="n", match=m.MatchExcept(**{"except": chance.sample(range(10), 4)})),
            lambda: m.FieldCondition(key="text", match=m.MatchPhrase(phrase=" ".join(chance.sample(WORDS, 2)))),
            lambda: m.FieldCondition(key="text", match=m.MatchSubstring(substring=chance.choice(["o", "ed g", "x"]))),
            lambda: m.FieldCondition(key="home", geo_polygon=self.polygon()),
            lambda: m.FieldCondition(key="f", range=m.Range(gt=chance.uniform(-1, 1))),
            lambda: m.FieldCondition(key="n", range=ranged(chance.randint(0, 5), chance.randint(4, 9))),
            lambda: m.FieldCondition(key="day", range=m.DatetimeRange(gte=f"2024-{chance.randint(1, 12):02d}-01T00:00:00Z")),
            lambda: m.FieldCondition(key="tags", values_count=m.ValuesCount(gte=chance.randint(0, 3))),
            lambda: m.FieldCondition(
                key="home", geo_radius=m.GeoRadius(center=m.GeoPoint(lat=52, lon=12), radius=chance.uniform(1e4, 2e5))
            ),
            lambda: m.FieldCondition(
                key="home",
                geo_bounding_box=m.GeoBoundingBox(
                    top_left=m.GeoPoint(lat=53.5, lon=10.5), bottom_right=m.GeoPoint(lat=chance.uniform(50, 53), lon=13)
                ),
            ),
            lambda: m.IsEmptyCondition(is_empty=m.PayloadField(key=chance.choice(["tags", "n", "nothing", "absent"]))),
            lambda: m.IsNullCondition(is_null=m.PayloadField(key=chance.choice(["nothing", "n", "absent"]))),
            lambda: m.HasIdCondition(has_id=self.ids()),
            lambda: m.NestedCondition(
                nested=m.Nested(
                    key="items",
                    filter=m.Filter(
                        must=[
                            m.FieldCondition(key="k", match=m.MatchValue(value=chance.choice(WORDS[:3]))),
                            m.FieldCondition(key="v", range=m.Range(gte=chance.randint(0, 3))),
                        ]
                    ),
                )
            ),
        ]
        if depth < 2:
            makers.append(lambda: self.filter(depth + 1))
        return chance.choice(makers)()

    def filter(self, depth=0):
        chance = self.chance
        some = lambda: [self.condition(depth) for _ in range(chance.randint(1, 2))]
        parts = {"must": some, "should": some, "must_not": some}
        chosen = {name: make() for name, make in parts.items() if chance.random() < 0.45}
        if chance.random() < 0.1:
            chosen["min_should"] = m.MinShould(conditions=[self.condition(depth) for _ in range(3)], min_count=2)
        return m.Filter(**chosen)

    def maybe_filter(self):
        return self.filter() if self.chance.random() < 0.5 else None

    def query_vector(self, using):
        if using == "s":
            return self.sparse()
        if using == "m":
            return self.tokens()
        return self.vector(8 if using is None else DENSE[using][0])


class Session:
    """Operations on both, one after the other."""

    def __init__(self, twins, seed):
        self.twins, self.world = twins, World(seed)
        self.compared = {}

    def start(self):
        for name in (NAMED, PLAIN):
            for client in (self.twins.server, self.twins.reference):
                client.delete_collection(name)
        vectors = {name: m.VectorParams(size=dims, distance=distance) for name, (dims, distance) in DENSE.items()}
        max_sim = m.MultiVectorConfig(comparator=m.MultiVectorComparator.MAX_SIM)
        vectors["m"] = m.VectorParams(size=4, distance=m.Distance.DOT, multivector_config=max_sim)
        sparse = {"s": m.SparseVectorParams()}
        self.twins.both("create_collection", NAMED, vectors_config=vectors, sparse_vectors_config=sparse)
        plain = m.VectorParams(size=8, distance=m.Distance.COSINE)
        self.twins.both("create_collection", PLAIN, vectors_config=plain)
        for _ in range(30):
            self.upsert()

    # Writes

    def collection(self):
        return self.world.chance.choice([NAMED, NAMED, PLAIN])

    def point(self, name):
        vector = self.world.vectors() if name == NAMED else self.world.vector(8)
        return m.PointStruct(id=self.world.id(), vector=vector, payload=self.world.payload())

    def present(self, name):
        """Some points that are there, or one that may not be: where a named point is missing both refuse, but the
        reference changes those before it."""
        known, chance = self.existing(name), self.world.chance
        if not known or chance.random() < 0.1:
            return [self.world.id()]
        return chance.sample(known, min(len(known), chance.randint(1, 6)))

    def selector(self, name):
        return self.present(name) if self.world.chance.random() < 0.7 else self.world.filter()

    def upsert(self):
        name = self.collection()
        points = {str(p.id): p for p in (self.point(name) for _ in range(self.world.chance.randint(1, 5)))}
        self.twins.both("upsert", name, points=list(points.values()), wait=True)

    def upsert_if(self):
        name = self.collection()
        points = {str(p.id): p for p in (self.point(name) for _ in range(3))}
        mode = self.world.chance.choice([m.UpdateMode.INSERT_ONLY, m.UpdateMode.UPDATE_ONLY, m.UpdateMode.UPSERT])
        where = self.world.maybe_filter() if mode != m.UpdateMode.INSERT_ONLY else None
        kwargs = {"update_mode": mode, "update_filter": where}
        self.twins.both("upsert", name, points=list(points.values()), wait=True, **kwargs)

    def delete(self):
        selector = self.world.ids() if self.world.chance.random() < 0.9 else self.world.filter()
        if isinstance(selector, m.Filter) and not selector.model_dump(exclude_none=True):
            return
        self.twins.both("delete", self.collection(), points_selector=selector, wait=True)

    def existing(self, name):
        points, _ = self.twins.reference.scroll(name, limit=200, with_payload=False)
        return [point.id for point in points]

    def update_vectors(self):
        known = self.existing(NAMED)
        if not known:
            return
        ids = self.world.chance.sample(known, min(3, len(known)))
        points = [m.PointVectors(id=i, vector=self.world.vectors(all_of_them=False)) for i in ids]
        self.twins.both("update_vectors", NAMED, points=points, wait=True)

    def delete_vectors(self):
        names = self.world.chance.sample(["b", "c", "s", "m"], 2)
        known = self.existing(NAMED)
        if known:
            ids = self.world.chance.sample(known, min(2, len(known)))
            self.twins.both("delete_vectors", NAMED, vectors=names, points=ids, wait=True)

    def set_payload(self):
        payload = self.world.payload()
        for key in self.world.chance.sample(sorted(payload), len(payload) // 2):
            if key != "unique":
                payload.pop(key)
        name = self.collection()
        self.twins.both("set_payload", name, payload=payload, points=self.present(name), wait=True)

    def set_payload_at(self):
        payload = {"x": self.world.chance.randint(0, 3), "w": "new"}
        key = self.world.chance.choice(["o", "o.y", "items[]"])
        name = self.collection()
        self.twins.both("set_payload", name, payload=payload, points=self.selector(name), key=key, wait=True)

    def overwrite_payload(self):
        payload = self.world.payload()
        name = self.collection()
        self.twins.both("overwrite_payload", name, payload=payload, points=self.present(name), wait=True)

    def delete_payload(self):
        keys = self.world.chance.sample(["n", "color", "o.x", "items[].k", "tags", "absent"], 2)
        name = self.collection()
        self.twins.both("delete_payload", name, keys=keys, points=self.selector(name), wait=True)

    def clear_payload(self):
        name = self.collection()
        self.twins.both("clear_payload", name, points_selector=self.present(name), wait=True)

    def batch(self):
        name = self.collection()
        payload = {"n": self.world.chance.randint(0, 9)}
        deleted = self.world.ids()[:1]
        # See `present`: of several points none may be missing.
        changed = self.present(name)
        changed = [point for point in changed if point not in deleted] or changed[:1]
        operations = [
            m.UpsertOperation(upsert=m.PointsList(points=[self.point(name)])),
            m.SetPayloadOperation(set_payload=m.SetPayload(payload=payload, points=changed)),
            m.DeleteOperation(delete=m.PointIdsList(points=deleted)),
        ]
        self.world.chance.shuffle(operations)
        self.twins.both("batch_update_points", name, update_operations=operations, wait=True)

    # Reads

    def retrieve(self):
        answers = self.twins.both("retrieve", self.collection(), ids=self.world.ids(), with_payload=True, with_vectors=True)
        if answers:
            same_records(*answers)

    def scroll(self):
        name, where, offsets = self.collection(), self.world.maybe_filter(), [None, None]
        limit = self.world.chance.randint(1, 40)
        parts = self.world.chance.choice([True, ["n", "o.x"], m.PayloadSelectorExclude(exclude=["items[].k", "o"])])
        for _ in range(4):
            pages = []
            for client, offset in zip((self.twins.server, self.twins.reference), offsets):
                kwargs = {"scroll_filter": where, "limit": limit, "offset": offset, "with_payload": parts}
                pages.append(client.scroll(name, with_vectors=True, **kwargs))
            same_records(pages[0][0], pages[1][0])
            same(pages[0][1], pages[1][1], "next page")
            if pages[0][1] is None:
                return
            offsets = [page[1] for page in pages]

    def scroll_in_order(self):
        chance = self.world.chance
        direction = chance.choice([m.Direction.ASC, m.Direction.DESC])
        start = chance.choice([None, chance.randint(-50, 50)])
        order = m.OrderBy(key="unique", direction=direction, start_from=start)
        where = self.world.maybe_filter()
        answers = self.twins.both("scroll", self.collection(), scroll_filter=where, order_by=order, limit=20)
        if answers:
            same_in_order(answers[0][0], answers[1][0], order.key)

    def count(self):
        answers = self.twins.both("count", self.collection(), count_filter=self.world.maybe_filter(), exact=True)
        same(answers[0].count, answers[1].count, "count")

    def facet(self):
        key = self.world.chance.choice(["color", "tags", "n", "o.y.z", "flag", "items[].k"])
        answers = self.twins.both("facet", self.collection(), key=key, facet_filter=self.world.maybe_filter(), limit=5)
        if answers:
            hits = [[(hit.value, hit.count) for hit in answer.hits] for answer in answers]
            same(hits[0], hits[1], f"facet of {key}")

    # Queries

    def target(self):
        name = self.collection()
        using = self.world.chance.choice([*DENSE, "s", "m"]) if name == NAMED else None
        return name, using

    def example(self, name, using):
        known = self.existing(name)
        if known and self.world.chance.random() < 0.5:
            return self.world.chance.choice(known)
        return self.world.query_vector(using)

    def query(self, name, using, query, prefetch=None, threshold=None, limit=None):
        chance = self.world.chance
        kwargs = {
            "query": query,
            "using": using,
            "prefetch": prefetch,
            "query_filter": self.world.maybe_filter(),
            "limit": limit or chance.randint(1, 20),
            "offset": chance.choice([None, None, 3]) if limit is None else None,
            "score_threshold": threshold,
            "with_payload": chance.random() < 0.5,
            "with_vectors": chance.random() < 0.3,
            "search_params": EXACT,
        }
        answers = self.twins.both("query_points", name, **kwargs)
        if answers:
            same_points(answers[0].points, answers[1].points, offset=kwargs["offset"])

    def nearest(self):
        name, using = self.target()
        threshold = self.world.chance.choice([None, None, 0.3123])
        self.query(name, using, self.example(name, using), threshold=threshold)

    def recommend(self):
        name, using = self.target()
        chance = self.world.chance
        examples = lambda least: [self.example(name, using) for _ in range(chance.randint(least, 2))]
        strategies = [m.RecommendStrategy.AVERAGE_VECTOR, m.RecommendStrategy.BEST_SCORE, m.RecommendStrategy.SUM_SCORES]
        if using in ("s", "m"):
            strategies = strategies[:2] if using == "s" else strategies[1:]
        strategy = chance.choice(strategies)
        positive = examples(1)
        # With one example on both sides, rounding decides in the reference.
        negative = [example for example in examples(0) if example not in positive]
        recommend = m.RecommendInput(positive=positive, negative=negative, strategy=strategy)
        self.query(name, using, m.RecommendQuery(recommend=recommend))

    def pairs(self, name, using):
        pairs = []
        while len(pairs) < self.world.chance.randint(1, 3):
            positive, negative = self.example(name, using), self.example(name, using)
            # As above.
            if positive != negative:
                pairs.append(m.ContextPair(positive=positive, negative=negative))
        return pairs

    def dense_target(self):
        name = self.collection()
        return name, self.world.chance.choice(list(DENSE)) if name == NAMED else None

    def discover(self):
        name, using = self.dense_target()
        discover = m.DiscoverInput(target=self.example(name, using), context=self.pairs(name, using))
        self.query(name, using, m.DiscoverQuery(discover=discover))

    def context(self):
        name, using = self.dense_target()
        # Points on the right side of all pairs score the same: look at all.
        self.query(name, using, m.ContextQuery(context=self.pairs(name, using)), limit=1000)

    def feedback(self):
        name, using = self.dense_target()
        items = [m.FeedbackItem(example=self.example(name, using), score=score) for score in (0.9, 0.4, 0.1)]
        naive = m.NaiveFeedbackStrategy(naive=m.NaiveFeedbackStrategyParams(a=0.7, b=1.0, c=0.3))
        feedback = m.RelevanceFeedbackInput(target=self.example(name, using), feedback=items, strategy=naive)
        self.query(name, using, m.RelevanceFeedbackQuery(relevance_feedback=feedback))

    def mmr(self):
        name, using = self.dense_target()
        mmr = m.Mmr(diversity=self.world.chance.choice([0.0, 0.3, 0.7]), candidates_limit=15)
        self.query(name, using, m.NearestQuery(nearest=self.world.query_vector(using), mmr=mmr), limit=5)

    def prefetches(self, count):
        chance = self.world.chance
        made = []
        for _ in range(count):
            using = chance.choice(["a", "c", "s"])
            made.append(
                m.Prefetch(
                    query=self.world.query_vector(using),
                    using=using,
                    limit=chance.randint(3, 30),
                    filter=self.world.maybe_filter(),
                    params=EXACT,
                )
            )
        return made

    def fused(self):
        chance = self.world.chance
        count = chance.randint(2, 3)
        query = chance.choice(
            [
                m.FusionQuery(fusion=m.Fusion.RRF),
                m.FusionQuery(fusion=m.Fusion.DBSF),
                m.RrfQuery(rrf=m.Rrf(k=chance.randint(1, 60))),
                m.RrfQuery(rrf=m.Rrf(weights=[chance.choice([0.5, 1.0, 3.0]) for _ in range(count)])),
            ]
        )
        # Equal ranks give equal scores: look at all.
        self.query(NAMED, None, query, prefetch=self.prefetches(count), limit=1000)

    def rescored(self):
        using = self.world.chance.choice([*DENSE, "s", "m"])
        inner = m.Prefetch(prefetch=self.prefetches(2), query=self.world.query_vector("a"), using="a", limit=20, params=EXACT)
        self.query(NAMED, using, self.world.query_vector(using), prefetch=[inner, *self.prefetches(1)])

    def query_batch(self):
        requests = [
            m.QueryRequest(query=self.world.query_vector("a"), using="a", limit=5, params=EXACT, filter=self.world.maybe_filter())
            for _ in range(3)
        ]
        answers = self.twins.both("query_batch_points", NAMED, requests=requests)
        if answers:
            for one, other in zip(*answers):
                same_points(one.points, other.points)

    def groups(self):
        name, using = self.target()
        kwargs = {
            "group_by": self.world.chance.choice(["color", "n", "tags", "o.x"]),
            "query": self.world.query_vector(using),
            "using": using,
            "query_filter": self.world.maybe_filter(),
            "limit": self.world.chance.randint(1, 5),
            "group_size": self.world.chance.randint(1, 3),
            "with_payload": True,
            "search_params": EXACT,
        }
        answers = self.twins.both("query_points_groups", name, **kwargs)
        if answers:
            same_groups(answers[0].groups, answers[1].groups)

    WRITES = [upsert, upsert, upsert, upsert_if, delete, update_vectors, delete_vectors, set_payload, set_payload_at]
    WRITES += [overwrite_payload, delete_payload, clear_payload, batch]
    READS = [retrieve, scroll, scroll_in_order, count, facet, nearest, nearest, nearest, recommend, recommend, discover]
    READS += [context, feedback, mmr, fused, rescored, query_batch, groups]

    def run(self, operations):
        for number in range(operations):
            operation = self.world.chance.choice(self.WRITES + self.READS)
            try:
                operation(self)
            except Difference as difference:
                raise SystemExit(f"operation {number}, {operation.__name__}: {difference}") from difference
            self.compared[operation.__name__] = self.compared.get(operation.__name__, 0) + 1


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--grpc-port", type=int)
    arguments.add_argument("--operations", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    grpc = {"prefer_grpc": True, "grpc_port": given.grpc_port} if given.grpc_port else {}
    server = QdrantClient(given.url, timeout=60, check_compatibility=False, **grpc)
    session = Session(Twins(server, QdrantClient(":memory:")), given.seed)
    session.start()
    session.run(given.operations)
    total = sum(session.compared.values())
    print(", ".join(f"{count} {name}" for name, count in sorted(session.compared.items())))
    print(f"{total} operations are the same, {session.twins.refused} of them refused by both")


if __name__ == "__main__":
    sys.exit(main())
