"""Runs engines beside each other and says how they compare.

    compare.py ──> contestant ──> a process of its own for each engine
                       │             build once, kept in the cache
                       │             sweep, a round at a time
                       v
                   results.json ──> page, picture

Every round visits every engine once, so that whatever else the machine does touches all of them alike;
ratios are taken within a round, and medians over rounds.
"""
