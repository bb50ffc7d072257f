"""Texts come out of the files of dictionaries as sentences."""

from __future__ import annotations

import gzip
import tempfile
import unittest
from pathlib import Path

from sets import bible, gcide, wordnet


class Texts(unittest.TestCase):
    """Small files in each format."""

    def setUp(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.folder = Path(self._folder.name)

    def test_wordnet_gives_definitions_and_examples(self) -> None:
        path = self.folder / "data.verb"
        line = '00001740 29 v 01 breathe 0 000 | draw air in; and out; "I can breathe"; "we breathe"'
        path.write_text(f"  1 licence\n{line}\n")
        self.assertEqual(list(wordnet.texts([path])), ["draw air in; and out", "I can breathe", "we breathe"])

    def test_bibles_are_cut_into_verses(self) -> None:
        path = self.folder / "plain.py"
        path.write_text('bible = Bible(V.X, """In the beginning. And so.""", {1: 0, 2: 18}, {1: 17, 2: 25})')
        self.assertEqual(list(bible.texts([path])), ["In the beginning.", "And so."])

    def test_a_dictionary_loses_pronunciation_sources_and_brackets(self) -> None:
        entry = (
            'Tergant \\Ter"gant\\, a. (Her.)\n   Showing the back. [Written also\n'
            "   {tergiant}.]\n   [1913 Webster] Tergeminal\n"
        )
        index, body = self.folder / "gcide.index", self.folder / "gcide.dict.dz"
        length = len(entry)
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        index.write_text(f"tergant\tA\t{digits[length // 64]}{digits[length % 64]}\n")
        body.write_bytes(gzip.compress(entry.encode()))
        self.assertEqual(list(gcide.texts([index, body])), ["Tergant: a. (Her.) Showing the back."])
