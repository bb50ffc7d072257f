//! Multi-vectors of one segment: what is written, what sketches find, and what damage is.

use std::path::Path;

use bigrain_binarize::Binarizer;
use bigrain_index::IndexError;
use bigrain_index::lists::DeviceLists;
use bigrain_index::multi::{
    BuildMulti, MultiQueryCode, MultiSource, SketchSearch, Sketches, SketchesReader, TokensReader,
    TokensVerifier, max_sim, round, write,
};
use bigrain_index::verify::RowIo;
use bigrain_storage::{BlockFileWriter, Directory, FileKind, MmapDirectory, RamDirectory};
use bigrain_types::{
    Cancel, HalfTokens, Levels, Metric, MultiVector, Offset, TokensView, VerifyIo, normalize,
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::devices::{Exhaustive, Nature};

const DIMS: usize = 64;

struct Points(Vec<Option<HalfTokens>>);

impl MultiSource for Points {
    fn points(&self) -> usize {
        self.0.len()
    }
    fn has(&self, offset: usize) -> Result<bool, IndexError> {
        Ok(self.0[offset].is_some())
    }
    fn tokens(&self, offset: usize) -> Result<Option<TokensView<'_>>, IndexError> {
        Ok(self.0[offset].as_ref().map(HalfTokens::view))
    }
}

/// Tokens around one of forty directions each, of length one.
fn multi_vector(random: &mut ChaCha8Rng, tokens: usize) -> MultiVector {
    let mut values = Vec::with_capacity(tokens * DIMS);
    let topic = random.next_u32() % 37;
    for _ in 0..tokens {
        let mut direction = ChaCha8Rng::seed_from_u64(u64::from(topic + random.next_u32() % 3));
        let unit = |from: &mut ChaCha8Rng| from.next_u32() as f32 / u32::MAX as f32 - 0.5;
        let mut token: Vec<f32> =
            (0..DIMS).map(|_| unit(&mut direction) + 0.8 * unit(random)).collect();
        normalize(&mut token);
        values.extend(token);
    }
    MultiVector::new(DIMS, values).unwrap()
}

/// Points of one to twenty tokens, every fifth without any.
fn points(count: usize) -> Points {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut point =
        |at: usize| (at % 5 != 2).then(|| round(&multi_vector(&mut random, 1 + (at * 7) % 20)));
    Points((0..count).map(&mut point).collect())
}

fn binarizer() -> Binarizer {
    Binarizer::new_rotation(DIMS, Levels::ONE, Metric::Dot, 1).unwrap()
}

fn written(directory: &dyn Directory, points: &Points) -> (TokensReader, SketchesReader) {
    written_with(directory, points, None)
}

fn written_with(
    directory: &dyn Directory,
    points: &Points,
    device: Option<&DeviceLists<'_>>,
) -> (TokensReader, SketchesReader) {
    let (tokens, sketches) = (Path::new("tokens.m"), Path::new("sketches.m"));
    let build = BuildMulti { binarizer: &binarizer(), sketch_tokens: 12, seed: 3, device };
    write(directory, (tokens, sketches), points, &build).unwrap();
    let tokens = TokensReader::open(directory, tokens).unwrap();
    (tokens, SketchesReader::open(directory, sketches).unwrap())
}

fn best(sketches: &Sketches, query: &MultiVector, probes: Option<usize>) -> (Vec<u32>, u64) {
    let query = MultiQueryCode::new(&binarizer(), query).unwrap();
    let found = SketchSearch { sketches, query: &query }.best(20, probes, |_| true);
    (found.best.iter().map(|scored| scored.offset).collect(), found.codes)
}

#[test]
fn tokens_come_back_and_few_of_them_are_told_from_all_others() {
    let directory = RamDirectory::new();
    let points = points(300);
    let (tokens, sketches) = written(&directory, &points);
    let resident = sketches.resident().unwrap();
    let codes = |tokens: &HalfTokens| tokens.view().header().tokens().min(12) as u64;
    assert_eq!(sketches.codes(), points.0.iter().flatten().map(codes).sum::<u64>());
    assert_eq!((tokens.vectors(), resident.lists()), (240, 0));
    for (offset, point) in points.0.iter().enumerate() {
        let stored = tokens.tokens(Offset(offset as u32)).unwrap();
        assert_eq!(stored, point.as_ref().map(HalfTokens::view));
        assert_eq!(resident.has(offset as u32), point.is_some());
        if let Some(point) = point {
            let asked = bigrain_index::multi::widen(point.view());
            assert!(best(&resident, &asked, None).0[..5].contains(&(offset as u32)), "{offset}");
        }
    }
    assert!(tokens.tokens(Offset(300)).is_err());
}

fn sketch_bytes(directory: &RamDirectory) -> Vec<u8> {
    let file = directory.open(Path::new("sketches.m")).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Runs some searches of all lists and of those that reach a recall of nine tenths; returns what the former find, how
/// many of them the latter find too, and how many codes these score.
fn compared(sketches: &SketchesReader) -> (Vec<Vec<u32>>, usize, u64) {
    let resident = sketches.resident().unwrap();
    assert!(resident.lists() > 50, "{} lists", resident.lists());
    let probes = resident.probes_for(0.9).unwrap();
    assert!(probes < resident.lists(), "{probes} of {}", resident.lists());
    let mut random = ChaCha8Rng::seed_from_u64(77);
    let (mut of_all, mut found, mut codes) = (Vec::new(), 0, 0);
    for _ in 0..40 {
        let query = multi_vector(&mut random, 6);
        let (all, scanned) = best(&resident, &query, None);
        assert_eq!((all.len(), scanned), (20, sketches.codes()));
        let (some, scanned) = best(&resident, &query, Some(probes));
        found += some.iter().filter(|point| all.contains(point)).count();
        codes += scanned;
        of_all.push(all);
    }
    (of_all, found, codes)
}

#[test]
fn nearest_lists_have_what_all_lists_have() {
    let points = points(6000);
    let directories = [1, 3].map(|threads| {
        let directory = RamDirectory::new();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| written(&directory, &points));
        directory
    });
    let [one, three] = directories.each_ref().map(sketch_bytes);
    assert!(one == three, "threads change the file");
    let sketches = SketchesReader::open(&directories[0], Path::new("sketches.m")).unwrap();
    let (_, found, codes) = compared(&sketches);
    assert!(found >= 40 * 20 * 85 / 100, "{found} of 800");
    assert!(codes < 40 * sketches.codes() * 9 / 10, "{codes} codes of {}", sketches.codes());
    // Where few points pass, none that does is missing.
    let resident = sketches.resident().unwrap();
    let query = multi_vector(&mut ChaCha8Rng::seed_from_u64(78), 6);
    let query = MultiQueryCode::new(&binarizer(), &query).unwrap();
    let search = SketchSearch { sketches: &resident, query: &query };
    let passing = search.best(20, Some(1), |point| point % 500 == 0).best;
    assert_eq!(passing.len(), (0..6000).step_by(500).filter(|point| point % 5 != 2).count());
}

/// Sketches that were written with a device, on so many threads; of how many rows it found the list, and whether it
/// refused something.
fn sketched(
    points: &Points,
    nature: Nature,
    (least_pairs, threads): (u64, usize),
) -> (RamDirectory, u64, bool) {
    let device: &'static Exhaustive = Box::leak(Box::new(Exhaustive::new(nature)));
    let lists = DeviceLists::new(&device, least_pairs);
    let directory = RamDirectory::new();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| written_with(&directory, points, Some(&lists)));
    let found = lists.rows_found();
    (directory, found, lists.into_failure().is_some())
}

#[test]
fn lists_that_a_device_finds_have_as_much_as_those_of_the_cpu() {
    let points = points(6000);
    let (directory, rows, refused) = sketched(&points, Nature::Sound, (1, 3));
    let (again, same_rows, _) = sketched(&points, Nature::Sound, (1, 1));
    assert!(sketch_bytes(&directory) == sketch_bytes(&again), "threads change the file");
    assert_eq!((rows, refused), (same_rows, false));
    let sketches = SketchesReader::open(&directory, Path::new("sketches.m")).unwrap();
    // Each merged token and a mean of each point, and the sample in each iteration.
    assert!(rows > sketches.codes() + 4800, "{rows} rows, {} codes", sketches.codes());

    let here = RamDirectory::new();
    let (_, by_cpu) = written(&here, &points);
    let (all, found, codes) = compared(&sketches);
    let (all_here, ..) = compared(&by_cpu);
    assert_eq!(all, all_here, "codes are the CPU's");
    assert!(found >= 40 * 20 * 85 / 100, "{found} of 800");
    assert!(codes < 40 * sketches.codes() * 9 / 10, "{codes} codes of {}", sketches.codes());
}

#[test]
fn what_a_device_does_not_do_for_tokens_the_cpu_does() {
    let points = points(6000);
    let here = RamDirectory::new();
    let (_, by_cpu) = written(&here, &points);
    let expected = sketch_bytes(&here);
    for nature in [Nature::Full, Nature::Strays, Nature::Forgets, Nature::FailsAt(0)] {
        let (directory, rows, refused) = sketched(&points, nature, (1, 2));
        assert!(sketch_bytes(&directory) == expected, "{nature:?}");
        assert_eq!((rows, refused), (0, true), "{nature:?}");
    }
    let (few, rows, refused) = sketched(&points, Nature::Sound, (u64::MAX, 2));
    assert!(sketch_bytes(&few) == expected);
    assert_eq!((rows, refused), (0, false));
    // In an iteration of training, and among the points.
    let (all_here, ..) = compared(&by_cpu);
    for at in [2, 20] {
        let (directory, rows, refused) = sketched(&points, Nature::FailsAt(at), (1, 2));
        assert!(rows > 0 && refused, "{at}");
        let sketches = SketchesReader::open(&directory, Path::new("sketches.m")).unwrap();
        let (all, found, _) = compared(&sketches);
        assert_eq!(all, all_here);
        assert!(found >= 40 * 20 * 85 / 100, "{at}: {found} of 800");
    }
}

#[test]
fn every_way_of_reading_scores_alike() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let points = points(200);
    let (tokens, _) = written(&directory, &points);
    let query = multi_vector(&mut ChaCha8Rng::seed_from_u64(8), 7);
    let asked: Vec<(u32, Offset)> =
        (0..200).rev().filter(|at| at % 5 != 2).map(|at| (0, Offset(at))).collect();
    let expected: Vec<f32> = asked
        .iter()
        .map(|(_, Offset(at))| max_sim(&query, points.0[*at as usize].as_ref().unwrap().view()))
        .collect();
    let cancel = Cancel::new();
    for io in [VerifyIo::Auto, VerifyIo::Map, VerifyIo::Pread] {
        let io = RowIo::open(io).unwrap();
        let sources = [&tokens];
        let verifier =
            TokensVerifier { query: &query, sources: &sources, io: &io, cancel: &cancel };
        let scored = verifier.score(&asked).unwrap();
        assert_eq!(scored.scores, expected);
        assert!(scored.bytes > 0);
        let absent = verifier.score(&[(0, Offset(2))]).unwrap_err();
        assert!(absent.to_string().contains("tokens.m: point 2 has a sketch and no tokens"));
    }
    cancel.cancel();
    let io = RowIo::open(VerifyIo::Map).unwrap();
    let sources = [&tokens];
    let verifier = TokensVerifier { query: &query, sources: &sources, io: &io, cancel: &cancel };
    assert!(verifier.score(&asked).unwrap_err().is_cancelled());
}

/// Writes a file of words under a kind, as no writer would.
fn file_of(directory: &RamDirectory, kind: FileKind, sections: &[Vec<u32>]) {
    let mut file = BlockFileWriter::create(directory, Path::new("f"), kind).unwrap();
    for section in sections {
        file.align_to(4096).unwrap();
        file.append_slice(section).unwrap();
    }
    file.finish().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_tokens_are_read_or_refused(
        points in 0..4_u32,
        dims in 0..4_u32,
        ends in prop::collection::vec(0..5_u64, 4),
        records in prop::collection::vec(prop_oneof![Just(0_u32), any::<u32>(), 0..3_u32], 8),
    ) {
        let directory = RamDirectory::new();
        let ends: Vec<u32> =
            ends.iter().take(points as usize).flat_map(|end| [*end as u32 * 8, 0]).collect();
        let header = vec![points, points / 2, dims, 0, 4 * records.len() as u32, 0];
        let sections = if points == 0 { vec![header, records] } else { vec![header, ends, records] };
        file_of(&directory, FileKind::Tokens, &sections);
        if let Ok(reader) = TokensReader::open(&directory, Path::new("f")) {
            for offset in (0..5).map(Offset) {
                if let Ok(Some(tokens)) = reader.tokens(offset) {
                    prop_assert_eq!(tokens.header().dims(), dims as usize);
                }
            }
        }
    }

    #[test]
    fn sketches_that_contradict_themselves_are_refused(
        starts in prop::collection::vec(0..5_u32, 4),
        lists in prop::collection::vec(0..4_u32, 3),
        postings in prop::collection::vec(0..5_u32, 3),
    ) {
        let directory = RamDirectory::new();
        let header = vec![3, 1, 4, 64, 2, 3, 1.0_f32.to_bits(), 0, 1, 2, 3, 4];
        let sections = [
            header,
            starts.clone(),
            vec![0x3c00_3c00; 2],
            vec![7; 8],
            vec![],
            lists.clone(),
            postings.clone(),
            vec![0; 128],
        ];
        file_of(&directory, FileKind::Sketches, &sections);
        let reader = SketchesReader::open(&directory, Path::new("f")).unwrap();
        let rises = |starts: &[u32], end: u32| {
            starts[0] == 0 && starts.is_sorted() && starts[starts.len() - 1] == end
        };
        let list = |at: usize| &postings[lists[at] as usize..lists[at + 1] as usize];
        let holds = rises(&starts, 4)
            && rises(&lists, 3)
            && (0..2).all(|at| list(at).is_sorted_by(|a, b| a < b) && list(at).iter().all(|p| *p < 3));
        match reader.resident() {
            Ok(sketches) => {
                prop_assert!(holds);
                let query = MultiQueryCode::new(&binarizer(), &MultiVector::new(64, vec![1.0; 64])
                    .unwrap()).unwrap();
                let search = SketchSearch { sketches: &sketches, query: &query };
                prop_assert!(search.best(5, Some(1), |_| true).best.len() <= 3);
            }
            Err(error) => prop_assert!(!holds && error.is_corruption(), "{}", error),
        }
    }
}
