//! Files of a segment whose checksums are right and whose contents are not: no reader panics.
//!
//! A flipped bit is found by a checksum. What a reader does with contents that contradict themselves
//! is another question, so here bodies of golden files are changed and get checksums that match.

use std::error::Error;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bigrain_binarize::{Binarizer, QueryWidth};
use bigrain_engine::filter::{FieldPath, SortDirection, SortKey};
use bigrain_engine::{
    Cancel, Filter, Language, Levels, Metric, MultiVector, Offset, Payload, PointId, SparseVector,
    TextField,
};
use bigrain_index::Candidates;
use bigrain_index::candidates::ivf::{Ivf, Reach};
use bigrain_index::candidates::list_scan::{Epsilon, ListScan};
use bigrain_index::codes::CodesReader;
use bigrain_index::dense::DenseReader;
use bigrain_index::ids::IdsReader;
use bigrain_index::lists::{ListsReader, Nearness};
use bigrain_index::multi::{MultiQueryCode, SketchSearch, SketchesReader, TokensReader, max_sim};
use bigrain_index::order::OrderReader;
use bigrain_index::sparse::{SparseReader, SparseSearch};
use bigrain_lexical::text::{Analyzer, Bm25, TextStatistics};
use bigrain_lexical::{LexicalError, LexicalReader, LexicalWriter};
use bigrain_storage::{
    BlockFile, BlockFileWriter, Directory, FileKind, MmapDirectory, RamDirectory,
};
use bigrain_tests::{Random, Soak};
use roaring::RoaringBitmap;

/// What `formats.rs` wrote the golden files with.
const DIMS: usize = 70;

const FILES: [(&str, FileKind); 10] = [
    ("codes.vector", FileKind::Codes),
    ("lists.vector", FileKind::Lists),
    ("centroids.vector", FileKind::Centroids),
    ("dense.vector", FileKind::Dense),
    ("ids", FileKind::Ids),
    ("order.image", FileKind::Order),
    ("sparse.terms", FileKind::Sparse),
    ("tokens.patches", FileKind::Tokens),
    ("sketches.patches", FileKind::Sketches),
    ("lexical", FileKind::Lexical),
];

#[test]
fn no_contents_of_a_file_make_a_reader_panic() {
    be_quiet_about_dependencies();
    let golden = MmapDirectory::open("data/segment").unwrap();
    // The golden one has no words.
    let with_words = RamDirectory::new();
    write_lexical(&with_words);
    let bodies: Vec<Vec<u8>> = FILES
        .iter()
        .map(|&(name, kind)| {
            let of_words = kind == FileKind::Lexical;
            let directory: &dyn Directory = if of_words { &with_words } else { &golden };
            let file = BlockFile::open(directory, Path::new(name), kind).unwrap();
            file.read(0, file.body_bytes() as usize).unwrap().to_vec()
        })
        .collect();
    // Else nothing behind the first error would ever be tried.
    use_all(&written(&bodies, None)).expect("files as they were written");
    for (changed, (name, _)) in FILES.iter().enumerate() {
        let soak = Soak::timed("contents of files", "cases", 600, 300);
        let (mut cases, mut read) = (0, 0);
        while soak.goes_on(cases) {
            let seed = (soak.seed() << 8 | changed as u64) << 40 | cases;
            let mut body = bodies[changed].clone();
            change(&mut body, &mut Random::new(seed));
            let directory = written(&bodies, Some((changed, &body)));
            let result = catch_unwind(AssertUnwindSafe(|| use_all(&directory)));
            read += u64::from(result.unwrap_or_else(|_| panic!("{name}, case {seed}")).is_ok());
            cases += 1;
        }
        assert!(0 < read && read < cases, "{name}: {read} of {cases} cases were read");
        soak.done(&format!("{name}: {cases} cases, {read} read, the others refused; no panic"));
    }
}

/// Writes the files with checksums that match, one of them with another body.
fn written(bodies: &[Vec<u8>], changed: Option<(usize, &[u8])>) -> RamDirectory {
    let directory = RamDirectory::new();
    for (file, body) in bodies.iter().enumerate() {
        let body = changed.filter(|(at, _)| *at == file).map_or(&body[..], |(_, body)| body);
        let (name, kind) = FILES[file];
        let mut writer = BlockFileWriter::create(&directory, Path::new(name), kind).unwrap();
        writer.append(body).unwrap();
        writer.finish().unwrap();
    }
    directory
}

/// Changes some bytes, mostly in the header; or the length.
fn change(body: &mut Vec<u8>, random: &mut Random) {
    if random.below(8) == 0 {
        let length = random.below(2 * body.len() as u64 + 1) as usize;
        body.resize(length, random.below(256) as u8);
    }
    let header = 64.min(body.len() as u64);
    for _ in 0..random.below(6) {
        if body.is_empty() {
            return;
        }
        let end = if random.below(3) == 0 { body.len() as u64 } else { header };
        let at = random.below(end) as usize;
        let width = [1, 2, 4, 8][random.below(4) as usize].min(body.len() - at);
        let place: Range<usize> = at..at + width;
        let value = match random.below(5) {
            0 => 0,
            1 => u64::MAX,
            2 => random.below(300),
            3 => 1 << random.below(64),
            _ => random.below(u64::MAX),
        };
        body[place].copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Reads tokens and searches sketches, which are of 24 dimensions.
fn use_multi(directory: &RamDirectory) -> Result<(), Box<dyn Error>> {
    let query = MultiVector::new(24, vec![0.5; 48])?;
    let tokens = TokensReader::open(directory, Path::new("tokens.patches"))?;
    for offset in 0..tokens.points().min(1000) {
        if let Some(tokens) = tokens.tokens(Offset(offset as u32))?
            && tokens.header().dims() == query.dims()
        {
            let _ = max_sim(&query, tokens);
        }
    }
    let sketches = SketchesReader::open(directory, Path::new("sketches.patches"))?;
    let resident = sketches.resident()?;
    let binarizer = Binarizer::new_rotation(24, Levels::ONE, Metric::Dot, 0x6269_6772_6169_6e31)?;
    // Whoever opens a segment compares these before a search sees it.
    if sketches.dims() == binarizer.layout().dims() {
        let query = MultiQueryCode::new(&binarizer, &query)?;
        let search = SketchSearch { sketches: &resident, query: &query };
        let _ = search.best(5, resident.probes_for(0.9).or(Some(1)), |_| true);
    }
    Ok(())
}

/// Opens the files and reads everything in them, as a search does.
fn use_all(directory: &RamDirectory) -> Result<(), Box<dyn Error>> {
    use_lexical(directory)?;
    let ids = IdsReader::open(directory, Path::new("ids"))?;
    for offset in 0..ids.rows().min(1000) {
        ids.get(Offset(offset as u32))?;
    }
    let order = OrderReader::open(directory, Path::new("order.image"))?;
    for position in 0..order.rows().min(1000) {
        order.offset(position as u32)?;
    }
    order.offsets()?;
    order.position(Offset(0))?;
    let sparse = SparseReader::open(directory, Path::new("sparse.terms"))?;
    let query = SparseVector::new((0..60).collect(), vec![1.0; 60])?;
    let search = SparseSearch::new(&sparse, query.view())?;
    search.best(5, f32::NEG_INFINITY, |_| false, &Cancel::new())?;
    for offset in 0..sparse.rows().min(1000) {
        sparse.vector(Offset(offset as u32))?;
    }
    use_multi(directory)?;
    let dense = DenseReader::open(directory, Path::new("dense.vector"))?;
    for offset in 0..dense.rows().min(1000) {
        let _ = dense.row(Offset(offset as u32))?.to_vec();
    }
    let codes = CodesReader::open(directory, Path::new("codes.vector"), FileKind::Codes)?;
    let resident = codes.resident()?;
    let lists =
        ListsReader::open(directory, Path::new("lists.vector"), Path::new("centroids.vector"))?;
    let resident_lists = lists.resident()?;
    // Whoever opens a segment compares these before a search sees it.
    let levels = Levels::TWO;
    let binarizer = Binarizer::new_rotation(DIMS, levels, Metric::L2, 0x6269_6772_6169_6e31)?;
    let fits = codes.layout() == *binarizer.layout()
        && lists.dims() == binarizer.layout().dims()
        && lists.rows() == codes.rows();
    if !fits {
        return Ok(());
    }
    let centroids = lists.centroids(&resident_lists, Nearness::Distance)?;
    let ivf = Ivf { codes: &resident, layout: &resident_lists.layout, centroids, device: None };
    let query = binarizer.prepare_query(&[0.5; DIMS], QueryWidth::DEFAULT).unwrap();
    let reach = Reach { probes: 2, epsilon: Epsilon { sign: 1.9, full: 1.9 } };
    let mut candidates = Candidates::new(5, 10);
    ivf.search(&query, &mut ListScan::new(&query), reach, |_| false, &mut candidates);
    Ok(())
}

fn text_field() -> TextField {
    TextField::new("text", Language::English).unwrap()
}

/// Writes values of every kind, and words.
fn write_lexical(directory: &RamDirectory) {
    let mut writer = LexicalWriter::new(&[text_field()]).unwrap();
    for row in 0..200_u64 {
        let payload = Payload::new()
            .with("n", row)
            .with("half", row as f64 / 2.0)
            .with("text", format!("{} row {row}", ["even", "odd"][row as usize % 2].repeat(9)))
            .with("day", format!("2024-03-{:02}", row % 28 + 1))
            .with("home", serde_json::json!({"lat": row % 80, "lon": 7}))
            .with("tags", serde_json::json!([row % 3, null, {"k": row.is_multiple_of(5)}, "t"]));
        writer.add(&PointId::from(row), &payload).unwrap();
    }
    writer.finish(directory, Path::new("lexical")).unwrap();
}

/// Looks up values of every kind, counts and sorts them, and ranks by words.
fn use_lexical(directory: &RamDirectory) -> Result<(), Box<dyn Error>> {
    let lexical = LexicalReader::open(directory, Path::new("lexical"))?;
    for filter in [
        r#"{"field": "n", "gte": 7, "lt": 31}"#,
        r#"{"field": "text", "prefix": "even"}"#,
        r#"{"field": "text", "text": "ROW odd"}"#,
        r#"{"must_not": [{"field": "half", "eq": 4}]}"#,
        r#"{"field": "home", "geo_radius": {"center": {"lat": 20, "lon": 7}, "meters": 500000}}"#,
        r#"{"field": "day", "gt": "2024-03-04"}"#,
    ] {
        lexical.select(&Filter::from_json(filter.as_bytes())?)?;
    }
    // Whoever opens a segment compares the rows of its files.
    let rows = RoaringBitmap::from_iter(0..lexical.rows().min(1000) as u32);
    let from = SortKey::of(&serde_json::json!("f"));
    for (field, direction, from) in [
        ("n", SortDirection::Descending, None),
        ("tags", SortDirection::Ascending, None),
        ("text", SortDirection::Ascending, from.as_ref()),
        ("day", SortDirection::Descending, from.as_ref()),
    ] {
        let field = FieldPath::parse(field)?;
        lexical.facet(&field, &rows)?;
        lexical.sortable(&field)?;
        lexical.sorted(&field, direction, from, &rows, |_, _| Ok::<_, LexicalError>(true))?;
    }
    if let Some(words) = lexical.text(&text_field())? {
        let query = Analyzer::new(&text_field()).query("odd row 7");
        let mut statistics = TextStatistics::default();
        statistics.add(&*words, &query, &RoaringBitmap::from_iter([1, 2]))?;
        Bm25::new(&query, &statistics).scores(&*words)?;
    }
    Ok(())
}

/// Leaves out what panics in other people's code would print: they are caught, and there are
/// thousands. Whatever this project's code panics with is printed.
fn be_quiet_about_dependencies() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // The sources of the workspace are named from its root, all others from that of the disk.
        if panic.location().is_none_or(|location| !location.file().starts_with('/')) {
            print(panic);
        }
    }));
}
