//! Where each section of `sketches.<field>` begins.

use super::SECTION_BYTES;

/// Bytes of the header that mean something.
pub(super) const HEADER_BYTES: usize = 48;

/// The sizes that a header states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SketchLayout {
    /// Points of the segment, those without a multi-vector included.
    pub points: u32,
    /// Points with one.
    pub vectors: u32,
    /// Codes of all points.
    pub codes: u32,
    /// Dimensions of a code, a multiple of 64.
    pub dims: u32,
    /// Lists; none in a small segment.
    pub lists: u32,
    /// Points of all lists.
    pub postings: u32,
    /// What the halves of factors count in.
    pub unit: f32,
    /// How many efforts were measured.
    pub efforts: u32,
    /// Which binarizer made the codes.
    pub space: [u8; 16],
}

/// What lies in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Starts,
    Rescale,
    Plane,
    Efforts,
    ListStarts,
    Postings,
    Centroids,
}

impl Section {
    pub const ALL: [Self; 7] = [
        Self::Starts,
        Self::Rescale,
        Self::Plane,
        Self::Efforts,
        Self::ListStarts,
        Self::Postings,
        Self::Centroids,
    ];
}

impl SketchLayout {
    pub fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |at: usize| u32::from_le_bytes(words[at]);
        let mut space = [0; 16];
        space.copy_from_slice(&bytes[32..]);
        Self {
            points: word(0),
            vectors: word(1),
            codes: word(2),
            dims: word(3),
            lists: word(4),
            postings: word(5),
            unit: f32::from_bits(word(6)),
            efforts: word(7),
            space,
        }
    }

    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let Self { points, vectors, codes, dims, lists, postings, unit, efforts, space } = self;
        let words = [points, vectors, codes, dims, lists, postings, unit.to_bits(), efforts];
        let mut bytes = [0; HEADER_BYTES];
        for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        bytes[32..].copy_from_slice(&space);
        bytes
    }

    /// Returns where a section begins; nothing if no file can be so long.
    pub fn start(self, section: Section) -> Option<u64> {
        let before = Section::ALL.into_iter().take_while(|&other| other != section);
        before.into_iter().try_fold(u64::from(SECTION_BYTES), |at, section| {
            at.checked_add(self.bytes(section)?)?.checked_next_multiple_of(u64::from(SECTION_BYTES))
        })
    }

    /// Returns the length of the file's body.
    pub fn body_bytes(self) -> Option<u64> {
        self.start(Section::Centroids)?.checked_add(self.bytes(Section::Centroids)?)
    }

    /// Returns the bytes of all sections without what is between them.
    pub fn resident_bytes(self) -> u64 {
        Section::ALL.into_iter().filter_map(|section| self.bytes(section)).sum()
    }

    pub fn bytes(self, section: Section) -> Option<u64> {
        let wide = u64::from;
        let (count, size) = match section {
            Section::Starts => (wide(self.points) + 1, 4),
            Section::Rescale => (wide(self.codes), 2),
            Section::Plane => (wide(self.codes), wide(self.dims) / 8),
            Section::Efforts => (wide(self.efforts), 8),
            Section::ListStarts if self.lists == 0 => (0, 4),
            Section::ListStarts => (wide(self.lists) + 1, 4),
            Section::Postings => (wide(self.postings), 4),
            Section::Centroids => (wide(self.lists), 4 * wide(self.dims)),
        };
        count.checked_mul(size)
    }
}
