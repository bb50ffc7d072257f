"""The engines bigrain is compared with, one small class each, all behind `engine.Engine`.

Rules that keep the comparison fair:

- every engine gets the same f32 rows; where the metric is cosine they are scaled to length 1 before
  any clock starts, and the engine is asked for the inner product;
- one thread, by each library's own setting;
- queries are handed over as the library likes them best: a whole batch where it takes one, so the
  price of Python is paid once a batch and not once a query;
- graphs get the same degree and the same effort of construction (`graph.py`), lists the same number
  (`Space.lists`).

Adding an engine: a module with a class here, a line in `catalog.py`, its package pinned in
`requirements.in`. An engine that cannot run where it is raises `Unavailable` with the reason, which is
printed with the results.
"""
