//! Points that are nearly the same.

use super::Neighbour;

/// Divides rows into groups, from the pairs that belong together: whoever is joined by a chain of pairs is
/// in one group. Groups of one are left out; the largest come first, then those with the earliest row, and
/// rows rise.
#[must_use]
pub fn groups(neighbours: &[Vec<Neighbour>]) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..neighbours.len()).collect();
    for (row, others) in neighbours.iter().enumerate() {
        for other in others {
            let (a, b) = (root(&mut parent, row), root(&mut parent, other.row));
            // The smallest row is the root, whatever the order of the pairs.
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut members = vec![Vec::new(); parent.len()];
    for row in 0..parent.len() {
        members[root(&mut parent, row)].push(row);
    }
    let mut groups: Vec<Vec<usize>> = members.into_iter().filter(|rows| rows.len() > 1).collect();
    groups.sort_by_key(|rows| (std::cmp::Reverse(rows.len()), rows[0]));
    groups
}

fn root(parent: &mut [usize], mut row: usize) -> usize {
    while parent[row] != row {
        parent[row] = parent[parent[row]];
        row = parent[row];
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_of_pairs_are_one_group_and_the_largest_comes_first() {
        let near = |rows: &[usize]| -> Vec<Neighbour> {
            rows.iter().map(|&row| Neighbour { row, score: 1.0 }).collect()
        };
        // 0-4, and 2-5, 5-3 said from one side only.
        let pairs = [near(&[4]), near(&[]), near(&[5]), near(&[]), near(&[0]), near(&[3])];
        assert_eq!(groups(&pairs), [vec![2, 3, 5], vec![0, 4]]);
        assert!(groups(&[]).is_empty());
    }
}
