//! Counts of values and rows in order, against the payloads they are of.

use std::collections::BTreeMap;

use bigrain_lexical::LexicalError;
use bigrain_types::Payload;
use bigrain_types::filter::{FieldPath, Scalar, SortDirection, SortKey};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use crate::data::{open, paths, payloads, write};

/// Texts of more bytes are no terms.
const LONG: usize = 256;

fn is_long(scalar: &Scalar) -> bool {
    matches!(scalar, Scalar::Text(text) if text.len() > LONG)
}

/// What a walk through sorted rows visits.
fn walk(
    reader: &bigrain_lexical::LexicalReader,
    path: &FieldPath,
    direction: SortDirection,
    from: Option<&SortKey>,
    rows: &RoaringBitmap,
) -> Vec<(SortKey, u32)> {
    let mut visited = Vec::new();
    let walked = reader.sorted(path, direction, from, rows, |key, rows| {
        visited.extend(rows.iter().map(|row| (key.clone(), row)));
        Ok::<_, LexicalError>(true)
    });
    walked.unwrap();
    visited
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn values_are_counted_as_payloads_have_them(
        payloads in prop::collection::vec(payloads(), 0..24),
        paths in prop::collection::vec(paths(), 12),
        chosen in prop::collection::btree_set(0_u32..24, 0..24),
        all in any::<bool>(),
    ) {
        let rows: RoaringBitmap =
            (0..payloads.len() as u32).filter(|row| all || chosen.contains(row)).collect();
        let directory = write(&payloads);
        let reader = open(&directory);
        for path in paths {
            let path = FieldPath::parse(&path).unwrap();
            let mut expected: BTreeMap<Scalar, u64> = BTreeMap::new();
            let mut long = RoaringBitmap::new();
            for row in &rows {
                for scalar in path.scalars(&payloads[row as usize]) {
                    if is_long(&scalar) {
                        long.insert(row);
                    } else {
                        *expected.entry(scalar).or_default() += 1;
                    }
                }
            }
            let found = reader.facet(&path, &rows).unwrap();
            prop_assert_eq!(found.counts.len(), expected.len());
            prop_assert_eq!(found.counts.into_iter().collect::<BTreeMap<_, _>>(), expected);
            prop_assert_eq!(found.long_texts, long);
        }
    }

    #[test]
    fn rows_come_in_the_order_of_their_payloads(
        payloads in prop::collection::vec(payloads(), 0..24),
        paths in prop::collection::vec(paths(), 12),
        left_out in prop::collection::btree_set(0_u32..24, 0..8),
        middle in 0_usize..24,
    ) {
        let rows: RoaringBitmap =
            (0..payloads.len() as u32).filter(|row| !left_out.contains(row)).collect();
        let directory = write(&payloads);
        let reader = open(&directory);
        for path in paths {
            let path = FieldPath::parse(&path).unwrap();
            for direction in [SortDirection::Ascending, SortDirection::Descending] {
                let key = |row: u32| path.sort_key(&payloads[row as usize], direction);
                let visited = walk(&reader, &path, direction, None, &rows);
                prop_assert!(visited.is_sorted_by(|(a, _), (b, _)| direction.compare(a, b).is_le()));
                prop_assert!(visited.iter().all(|(found, row)| key(*row).as_ref() == Some(found)));
                let sortable: RoaringBitmap = rows.iter().filter(|&row| key(row).is_some()).collect();
                let seen: RoaringBitmap = visited.iter().map(|&(_, row)| row).collect();
                prop_assert_eq!(visited.len() as u64, seen.len());
                prop_assert_eq!(&seen, &sortable);
                prop_assert_eq!(&reader.sortable(&path).unwrap() & &rows, sortable);

                let Some((from, _)) = visited.get(middle) else { continue };
                let begins = visited.partition_point(|(key, _)| direction.compare(key, from).is_lt());
                let rest = walk(&reader, &path, direction, Some(from), &rows);
                prop_assert_eq!(&rest[..], &visited[begins..]);
            }
        }
    }
}

#[test]
fn a_walk_ends_when_it_is_told_to() {
    let row = |n: u32| Payload::new().with("n", n % 10);
    let payloads: Vec<Payload> = (0..50).map(row).collect();
    let directory = write(&payloads);
    let rows = (0..50).collect();
    let (mut visits, path) = (0, FieldPath::parse("n").unwrap());
    let walked =
        open(&directory).sorted(&path, SortDirection::Descending, None, &rows, |_, rows| {
            assert_eq!(
                rows.iter().collect::<Vec<_>>(),
                (0..5).map(|i| i * 10 + 9 - visits).collect::<Vec<u32>>()
            );
            visits += 1;
            Ok::<_, LexicalError>(visits < 3)
        });
    walked.unwrap();
    assert_eq!(visits, 3);
}
