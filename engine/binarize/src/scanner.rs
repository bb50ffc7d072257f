//! What scans codes elsewhere than on this CPU: the seam between the candidate index and a GPU.
//!
//! A [`CodeScanner`] takes the codes of a segment once, as [`ScannedCodes`]; then each search asks for the rows of some
//! lists that may be among its best. Scores are the integers of [`bigrain_kernels::scan`], so whoever asks makes
//! similarities of them as it does of its own, and finds the same.

use std::fmt::Debug;
use std::ops::Range;

use bigrain_kernels::{Bounds, QueryPlanes, RowFactors};
use bigrain_types::DeviceError;

use crate::{CodeLayout, ListFinder};

/// Codes as they lie in memory here: blocks of 32 rows (see [`bigrain_kernels::pack_blocks`]).
#[derive(Clone, Debug)]
pub struct CodeBlocks<'a> {
    /// The shape of each code.
    pub layout: CodeLayout,
    /// How many codes there are; the last block may be padded.
    pub rows: usize,
    /// The blocks of each level.
    pub planes: Vec<&'a [u8]>,
    /// Factors of whole codes, one entry a row at least.
    pub factors: RowFactors<'a>,
}

/// Rows that have one centre, and what makes bounds of their scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ScannedList {
    /// The rows.
    pub rows: Range<u32>,
    /// For scores of whole codes.
    pub bounds: Bounds,
    /// What is added to the error for rounding, relative to the terms of the similarity.
    pub rounding: f32,
}

/// What one search asks for.
#[derive(Clone, Debug)]
pub struct ScanRequest<'a> {
    /// The query.
    pub query: QueryPlanes<'a>,
    /// Lists to scan; no row lies in two of them.
    pub lists: &'a [ScannedList],
    /// Rows that count, a word for 32; all of them if there is none.
    pub mask: Option<&'a [u32]>,
    /// How many results are wanted.
    pub limit: usize,
    /// A row below it is of no use.
    pub floor: f32,
}

/// A row and the integer score of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScoredCode {
    /// The row.
    pub row: u32,
    /// The score of all levels.
    pub score: i32,
}

/// Scans codes on a device that has its own memory.
pub trait CodeScanner: Debug + Send + Sync {
    /// Names the device, for people.
    fn device(&self) -> String;

    /// Copies codes to the device.
    ///
    /// # Errors
    ///
    /// [`DeviceError::DoesNotFit`] where its memory is too small; [`DeviceError::Failed`].
    fn load(&self, codes: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, DeviceError>;

    /// Returns what finds the lists of rows on the device while an index is built, if it can.
    fn list_finder(&self) -> Option<&dyn ListFinder> {
        None
    }
}

/// Codes in the memory of a device.
pub trait LoadedCodes: Debug + Send + Sync {
    /// Returns the bytes that they take there.
    fn memory_bytes(&self) -> u64;

    /// Returns, for each request, the rows whose upper bound reaches the `limit`-th best lower bound and the floor, in
    /// any order. A bound that is not a number reaches everything.
    ///
    /// # Errors
    ///
    /// [`DeviceError`], also where what the search needs beside the codes does not fit.
    fn scan(&self, requests: &[ScanRequest<'_>]) -> Result<Vec<Vec<ScoredCode>>, DeviceError>;
}
