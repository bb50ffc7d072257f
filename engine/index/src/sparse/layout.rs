//! Where each section of `sparse.<field>` begins.

/// Sections begin at multiples of this.
pub(super) const SECTION_BYTES: u32 = 4096;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 24;

/// Bytes of one component, in its list and in its row: a number and a value.
pub(super) const COMPONENT_BYTES: u64 = 8;

/// The sizes that a header states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SparseLayout {
    pub rows: u32,
    /// Dimensions that some row uses.
    pub terms: u32,
    /// Values that are not zero, of all rows.
    pub components: u64,
    /// Rows that have any.
    pub vectors: u32,
}

/// What lies in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Dimensions,
    ListEnds,
    Bounds,
    RowEnds,
    Lists,
    Rows,
}

impl Section {
    const ALL: [Self; 6] =
        [Self::Dimensions, Self::ListEnds, Self::Bounds, Self::RowEnds, Self::Lists, Self::Rows];
}

impl SparseLayout {
    pub fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |at: usize| u32::from_le_bytes(words[at]);
        let components = u64::from(word(2)) | u64::from(word(3)) << 32;
        Self { rows: word(0), terms: word(1), components, vectors: word(4) }
    }

    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.rows.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.terms.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.components.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.vectors.to_le_bytes());
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
        self.start(Section::Rows)?.checked_add(self.bytes(Section::Rows)?)
    }

    fn bytes(self, section: Section) -> Option<u64> {
        let (count, size) = match section {
            Section::Dimensions => (u64::from(self.terms), 4),
            Section::ListEnds | Section::Bounds => (u64::from(self.terms), 8),
            Section::RowEnds => (u64::from(self.rows), 8),
            Section::Lists | Section::Rows => (self.components, COMPONENT_BYTES),
        };
        count.checked_mul(size)
    }
}
