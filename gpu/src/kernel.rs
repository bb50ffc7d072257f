//! The kernels and their source.

/// The CUDA C of all kernels: one text, compiled as one module.
pub const SOURCE: &str = concat!(
    include_str!("../kernels/common.cuh"),
    include_str!("../kernels/select.cuh"),
    include_str!("../kernels/scan.cu"),
    include_str!("../kernels/batch.cu"),
    include_str!("../kernels/tiles.cuh"),
    include_str!("../kernels/encode.cu"),
    include_str!("../kernels/recurrent.cu"),
    include_str!("../kernels/verify.cu"),
    include_str!("../kernels/lists.cu"),
    include_str!("../kernels/bert.cu"),
    include_str!("../kernels/long_conv.cu"),
    include_str!("../kernels/m2_bert.cu"),
);

/// A kernel, by what it does; its parameters are those in `kernels/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// The best of the keys of each query.
    MergeBest,
    /// The best columns of each row of a matrix.
    SelectRows,
    /// Scores of all codes for each query.
    ScoreCodes,
    /// Scores and bounds of parts of lists, with the best of each part.
    ScanLists,
    /// The rows whose upper bound reaches a threshold.
    Collect,
    /// Queries as bytes.
    DecodeQueries,
    /// Scores or similarities of codes for many queries, on tensor cores.
    BatchScores,
    /// The random rotation of rows.
    RotateRows,
    /// The inverse of the rotation.
    RotateRowsBack,
    /// Rows to bit planes.
    QuantizeRows,
    /// Rows by a learned map.
    MapRows,
    /// Rows of length one.
    UnitRows,
    /// What codes leave of their rows.
    LeaveOver,
    /// The signs of rows as a plane.
    AddSigns,
    /// Exact similarities of shortlists.
    VerifyRows,
    /// MaxSim of multi-vectors.
    MaxSim,
    /// The nearest centroid of each row.
    NearestLists,
    /// Rows of tokens from the tables of a model, normalised.
    EmbedTokens,
    /// Sums of two rows, normalised.
    AddAndNormalize,
    /// What happens between the two layers of a feed-forward block.
    Activate,
    /// Attention inside each text.
    Attend,
    /// Both long convolutions of a channel of a text, in one block.
    ConvolveTexts,
    /// Columns of the transforms of signals or filters.
    TransformColumns,
    /// Rows of the transforms of signals, multiplied with spectra and back.
    ConvolveRows,
    /// Columns of the transforms of signals, back.
    RestoreColumns,
    /// Rows of the transforms of filters, to spectra.
    FilterRows,
    /// From projections of tokens to what is convolved, channel by channel.
    SplitSignals,
    /// Rows of tokens from values that lie by channel.
    GatherRows,
    /// The gate of a feed-forward block.
    GateValues,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::MergeBest,
        Self::SelectRows,
        Self::ScoreCodes,
        Self::ScanLists,
        Self::Collect,
        Self::DecodeQueries,
        Self::BatchScores,
        Self::RotateRows,
        Self::RotateRowsBack,
        Self::QuantizeRows,
        Self::MapRows,
        Self::UnitRows,
        Self::LeaveOver,
        Self::AddSigns,
        Self::VerifyRows,
        Self::MaxSim,
        Self::NearestLists,
        Self::EmbedTokens,
        Self::AddAndNormalize,
        Self::Activate,
        Self::Attend,
        Self::ConvolveTexts,
        Self::TransformColumns,
        Self::ConvolveRows,
        Self::RestoreColumns,
        Self::FilterRows,
        Self::SplitSignals,
        Self::GatherRows,
        Self::GateValues,
    ];

    /// Returns its name in the source.
    #[must_use]
    pub fn entry(self) -> &'static str {
        match self {
            Self::MergeBest => "merge_best",
            Self::SelectRows => "select_rows",
            Self::ScoreCodes => "score_codes",
            Self::ScanLists => "scan_lists",
            Self::Collect => "collect",
            Self::DecodeQueries => "decode_queries",
            Self::BatchScores => "batch_scores",
            Self::RotateRows => "rotate_rows",
            Self::RotateRowsBack => "rotate_rows_back",
            Self::QuantizeRows => "quantize_rows",
            Self::MapRows => "map_rows",
            Self::UnitRows => "unit_rows",
            Self::LeaveOver => "leave_over",
            Self::AddSigns => "add_signs",
            Self::VerifyRows => "verify_rows",
            Self::MaxSim => "max_sim",
            Self::NearestLists => "nearest_lists",
            Self::EmbedTokens => "embed_tokens",
            Self::AddAndNormalize => "add_and_normalize",
            Self::Activate => "activate",
            Self::Attend => "attend",
            Self::ConvolveTexts => "convolve_texts",
            Self::TransformColumns => "transform_columns",
            Self::ConvolveRows => "convolve_rows",
            Self::RestoreColumns => "restore_columns",
            Self::FilterRows => "filter_rows",
            Self::SplitSignals => "split_signals",
            Self::GatherRows => "gather_rows",
            Self::GateValues => "gate_values",
        }
    }
}

/// The constants of a compilation: loops over levels and query planes are unrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeShape {
    /// Levels of a code, 1 to 4.
    pub levels: u8,
    /// Planes of a query, 1 to 8.
    pub width: u8,
}

impl CodeShape {
    /// For kernels that look at no code.
    pub(crate) const ANY: Self = Self { levels: 1, width: 1 };
}
